package funcs

// What the tests look at from outside.
var (
	StudentT = studentT
	BetaI    = betaI
	Coerce   = coerce
)

// MaxText and MaxList are the limits of a result.
const (
	MaxText = maxText
	MaxList = maxList
)
