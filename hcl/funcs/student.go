package funcs

import "math"

// studentT is the t for which |T| <= t has the given probability, where T has
// Student's t distribution with n degrees of freedom: for 0.95 it is the
// 0.975-quantile. probability is within (0, 1), n at least 1.
func studentT(probability float64, n int) float64 {
	within := func(t float64) float64 { return betaI(float64(t*t)/(float64(t*t)+float64(n)), 0.5, float64(n)/2) }
	low, high := 0.0, 1.0
	for within(high) < probability {
		low, high = high, 2*high
	}
	for {
		middle := low + (high-low)/2
		if middle <= low || middle >= high { // neighbours
			return middle
		}
		if within(middle) < probability {
			low = middle
		} else {
			high = middle
		}
	}
}

// betaI is the regularized incomplete beta function I_x(a, b), for x within
// [0, 1] and a, b above 0: the continued fraction of DLMF 8.17.22
// (https://dlmf.nist.gov/8.17#E22), evaluated by Lentz's method as modified by
// Thompson and Barnett (doi:10.1016/0021-9991(86)90046-X).
func betaI(x, a, b float64) float64 {
	if x > (a+1)/(a+b+2) { // the fraction converges fast below only
		return 1 - betaI(1-x, b, a)
	}
	if x == 0 {
		return 0
	}
	ab, _ := math.Lgamma(a + b)
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	front := math.Exp(ab-la-lb+float64(a*math.Log(x))+float64(b*math.Log1p(-x))) / a

	const tiny, enough = 1e-300, 1e-15
	away := func(x float64) float64 { // from 0, to divide by it
		if math.Abs(x) < tiny {
			return tiny
		}
		return x
	}
	fraction, c, d := 1.0, 1.0, 0.0
	for i := 1; i < 100_000; i++ {
		m := float64(i / 2)
		term := -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		if i%2 == 0 {
			term = m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		}
		c = away(1 + term/c)
		d = 1 / away(1+float64(term*d))
		fraction *= c * d
		if math.Abs(c*d-1) < enough {
			break
		}
	}
	return front / fraction
}
