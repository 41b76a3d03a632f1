//go:build !race

package hcl_test

const underRace = false
