//go:build race

package hcl_test

const underRace = true // everything is ten times slower
