package funcs

import (
	"fmt"
	"math/big"
	"net/netip"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

var networkFunctions = []entry{
	{Doc: Doc{
		Name: "cidrhost", Summary: "The address of a host in a network.",
		Params:  []Param{{"prefix", "the network, such as \"10.0.0.0/24\""}, {"number", "of the host, from 0; below 0 counts from the end"}},
		Example: `cidrhost("10.12.112.0/20", 268)`, Result: `"10.12.113.12"`,
	}, fn: static(cty.String, cidrHost, cty.String, cty.Number)},
	{Doc: Doc{
		Name: "cidrsubnet", Summary: "A part of a network.",
		Params:  []Param{{"prefix", "the network, such as \"10.0.0.0/8\""}, {"bits", "by which the part's prefix is longer"}, {"number", "of the part, from 0"}},
		Example: `cidrsubnet("172.16.0.0/12", 4, 2)`, Result: `"172.18.0.0/16"`,
	}, fn: static(cty.String, cidrSubnet, cty.String, cty.Number, cty.Number)},
}

func prefixArg(v cty.Value) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(v.AsString())
	if err != nil {
		return p, function.NewArgErrorf(0, "want a network such as \"10.0.0.0/24\", got %.60q", v.AsString())
	}
	return p.Masked(), nil
}

// plus is an address n further.
func plus(a netip.Addr, n *big.Int) netip.Addr {
	sum := new(big.Int).Add(new(big.Int).SetBytes(a.AsSlice()), n)
	next, _ := netip.AddrFromSlice(sum.FillBytes(make([]byte, a.BitLen()/8)))
	return next
}

func cidrHost(args []cty.Value) (cty.Value, error) {
	p, err := prefixArg(args[0])
	if err != nil {
		return cty.NilVal, err
	}
	number := args[1].AsBigFloat()
	n, _ := number.Int(nil)
	hosts := new(big.Int).Lsh(big.NewInt(1), uint(p.Addr().BitLen()-p.Bits()))
	if n.Sign() < 0 {
		n.Add(n, hosts)
	}
	if !number.IsInt() || n.Sign() < 0 || n.Cmp(hosts) >= 0 {
		return cty.NilVal, function.NewArgErrorf(1, "want a whole number: %s has %s hosts", p, hosts)
	}
	return cty.StringVal(plus(p.Addr(), n).String()), nil
}

func cidrSubnet(args []cty.Value) (cty.Value, error) {
	p, err := prefixArg(args[0])
	if err != nil {
		return cty.NilVal, err
	}
	free := p.Addr().BitLen() - p.Bits()
	bits, ok := whole(args[1], 0, free)
	if !ok {
		return cty.NilVal, function.NewArgErrorf(1, "want a whole number from 0 to %d: %s has no more bits", free, p)
	}
	number := args[2].AsBigFloat()
	n, _ := number.Int(nil)
	if !number.IsInt() || n.Sign() < 0 || n.BitLen() > bits {
		return cty.NilVal, function.NewArgErrorf(2, "want a whole number from 0: %d bits have %s parts", bits, new(big.Int).Lsh(big.NewInt(1), uint(bits)))
	}
	first := plus(p.Addr(), n.Lsh(n, uint(free-bits)))
	return cty.StringVal(fmt.Sprintf("%s/%d", first, p.Bits()+bits)), nil
}
