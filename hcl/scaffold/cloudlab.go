package scaffold

import (
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// manifest is what is read of a manifest RSpec, version 3 of GENI, as CloudLab
// gives it. Names count, whatever their name space.
type manifest struct {
	XMLName xml.Name `xml:"rspec"`
	Type    string   `xml:"type,attr"`
	Nodes   []struct {
		ID        string `xml:"client_id,attr"`
		Component string `xml:"component_id,attr"`
		Hardware  struct {
			Name string `xml:"name,attr"`
		} `xml:"hardware_type"`
		VNode struct {
			Name     string `xml:"name,attr"`
			Hardware string `xml:"hardware_type,attr"`
		} `xml:"vnode"`
		Logins []struct {
			Host string `xml:"hostname,attr"`
			Port int    `xml:"port,attr"`
			User string `xml:"username,attr"`
		} `xml:"services>login"`
		Interfaces []struct {
			IPs []struct {
				Address string `xml:"address,attr"`
				Type    string `xml:"type,attr"`
			} `xml:"ip"`
		} `xml:"interface"`
	} `xml:"node"`
}

// ReadCloudLab reads the nodes of a CloudLab manifest that one can log in to.
// User is whose login is taken where a node has several.
func ReadCloudLab(path, user string) (*Inventory, error) {
	src, err := read(path)
	if err != nil {
		return nil, err
	}
	inv, err := parseCloudLab(src, from(path), user)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return inv, nil
}

func parseCloudLab(src []byte, file, user string) (*Inventory, error) {
	var m manifest
	if err := xml.Unmarshal(src, &m); err != nil {
		return nil, fmt.Errorf("it is no manifest: %w", err)
	}
	if len(m.Nodes) > maxHosts {
		return nil, fmt.Errorf("more than %d hosts", maxHosts)
	}
	inv := &Inventory{From: file + ", a manifest of CloudLab"}
	var n notes
	seen := map[string]bool{}
	for _, node := range m.Nodes {
		switch {
		case len(node.Logins) == 0:
			n.add("node %s has no login: it is left out.", node.ID)
			continue
		case node.ID == "":
			return nil, errors.New("a node has no client_id")
		case seen[node.ID]:
			n.add("node %s is there twice: the first one counts.", node.ID)
			continue
		}
		seen[node.ID] = true
		login := node.Logins[0]
		for _, l := range node.Logins {
			if l.User == user {
				login = l
				break
			}
		}
		if len(node.Logins) > 1 {
			n.add("there are several logins: that of %s is taken.", login.User)
		}
		h := Host{Name: node.ID, Address: login.Host, User: login.User, Port: login.Port, Labels: map[string]string{}}
		if login.Host == "" || login.Port < 0 || login.Port > 65535 {
			return nil, fmt.Errorf("the login of node %s is %q, port %d: it leads nowhere", node.ID, login.Host, login.Port)
		}
		if h.Port == 22 {
			h.Port = 0
		}
		for _, i := range node.Interfaces {
			for _, ip := range i.IPs {
				if h.Internal == "" && (ip.Type == "ipv4" || ip.Type == "") {
					h.Internal = ip.Address
				}
			}
		}
		label := func(key, value string) {
			if value != "" {
				h.Labels[key] = value
			}
		}
		label("hardware", cmp.Or(node.VNode.Hardware, node.Hardware.Name))
		label("node", node.VNode.Name)
		label("site", site(node.Component))
		inv.Hosts = append(inv.Hosts, h)
	}
	if len(inv.Hosts) == 0 {
		return nil, errors.New("no node of it has a login: get the manifest when the experiment is ready")
	}
	inv.Notes = append(n, inv.sameAddress()...)
	return inv, nil
}

// site is utah.cloudlab.us of urn:publicid:IDN+utah.cloudlab.us+node+ms0945.
func site(component string) string {
	parts := strings.Split(component, "+")
	if len(parts) < 2 || !strings.HasPrefix(component, "urn:") {
		return ""
	}
	name, err := url.PathUnescape(parts[1])
	if err != nil {
		return ""
	}
	return name
}
