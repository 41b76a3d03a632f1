package scaffold

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const rspec = `<?xml version='1.0'?>
<rspec xmlns="http://www.geni.net/resources/rspec/3" xmlns:emulab="http://www.protogeni.net/resources/rspec/ext/emulab/1" type="manifest">
  <node client_id="node0" component_id="urn:publicid:IDN+utah.cloudlab.us+node+hp120" exclusive="true">
    <sliver_type name="raw-pc"/>
    <hardware_type name="pc"/>
    <interface client_id="node0:if0"><ip address="fd00::1" type="ipv6"/><ip address="10.10.1.1" type="ipv4" netmask="255.255.255.0"/></interface>
    <services>
      <login authentication="ssh-keys" hostname="hp120.utah.cloudlab.us" port="22" username="alice"/>
      <login authentication="ssh-keys" hostname="hp120.utah.cloudlab.us" port="22" username="bob"/>
    </services>
    <emulab:vnode name="hp120" hardware_type="m510"/>
  </node>
  <node client_id="node1">
    <services><login hostname="pcvm.emulab.net" port="30010" username="bob"/></services>
  </node>
  <node client_id="store"/>
</rspec>`

func TestCloudLab(t *testing.T) {
	got, err := parseCloudLab([]byte(rspec), "manifest.xml", "bob")
	if err != nil {
		t.Fatal(err)
	}
	want := &Inventory{
		From: "manifest.xml, a manifest of CloudLab",
		Hosts: []Host{
			{
				Name: "node0", Address: "hp120.utah.cloudlab.us", User: "bob", Internal: "10.10.1.1",
				Labels: map[string]string{"hardware": "m510", "node": "hp120", "site": "utah.cloudlab.us"},
			},
			{Name: "node1", Address: "pcvm.emulab.net", Port: 30010, User: "bob", Labels: map[string]string{}},
		},
		Notes: []string{"there are several logins: that of bob is taken.", "node store has no login: it is left out."},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCloudLabErrors(t *testing.T) {
	node := `<rspec><node client_id=%q><services><login hostname=%q port=%q username="a"/></services></node></rspec>`
	for src, want := range map[string]string{
		"":                                     "no manifest",
		"<html/>":                              "no manifest",
		"<rspec/>":                             "no node of it has a login",
		`<rspec><node client_id="a"/></rspec>`: "no node of it has a login",
		fmt.Sprintf(node, "", "h", "22"):       "no client_id",
		fmt.Sprintf(node, "a", "", "22"):       "leads nowhere",
		fmt.Sprintf(node, "a", "h", "99999"):   "leads nowhere",
		fmt.Sprintf(node, "a", "h", "x"):       "no manifest",
		"<!DOCTYPE r [<!ENTITY x 'y'>]><rspec><node client_id='&x;'/></rspec>": "no manifest",
	} {
		if inv, err := parseCloudLab([]byte(src), "m.xml", ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v and %v, want an error with %q", src, inv, err, want)
		}
	}
}
