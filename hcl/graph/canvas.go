package graph

import (
	"bufio"
	"io"
	"strings"
	"unicode/utf8"
)

// A cell is one column of one row: a character, or the strokes from its middle
// to its four sides, two bits each. 0 = blank.
type cell int32

// Strokes of a cell. A stroke is thin or, on the line of a loop, double.
const (
	up cell = 1 << (2 * iota)
	right
	down
	left
	thin   cell = 1
	double cell = 2
)

// textBit marks a cell that holds a character, shifted by 8; continued marks
// the second column of a wide one.
const (
	strokes   cell = 1<<8 - 1
	textBit   cell = 1 << 30
	continued      = textBit
)

// canvas is a drawing of characters. Its along axis runs down, or to the right
// where it lies: then all that is drawn is turned, texts apart.
type canvas struct {
	lies          bool
	width, height int
	cells         []cell
}

// mostCells is how many cells a canvas may have; one takes 4 bytes.
const mostCells = 1 << 26

func newCanvas(along, across int, lies bool) *canvas {
	c := &canvas{lies: lies, width: across, height: along}
	if lies {
		c.width, c.height = along, across
	}
	c.cells = make([]cell, c.width*c.height)
	return c
}

func (c *canvas) cell(along, across int) *cell {
	if c.lies {
		along, across = across, along
	}
	return &c.cells[along*c.width+across]
}

// ahead, behind, first and last are the strokes towards a higher and lower
// place along and a lower and higher place across.
func (c *canvas) ahead() cell {
	if c.lies {
		return right
	}
	return down
}

func (c *canvas) behind() cell {
	if c.lies {
		return left
	}
	return up
}

func (c *canvas) first() cell {
	if c.lies {
		return up
	}
	return left
}

func (c *canvas) last() cell {
	if c.lies {
		return down
	}
	return right
}

// Arrow heads, by where they point.
func (c *canvas) headAhead() rune {
	if c.lies {
		return '▶'
	}
	return '▼'
}

func (c *canvas) headBehind() rune {
	if c.lies {
		return '◀'
	}
	return '▲'
}

func (c *canvas) headFirst() rune {
	if c.lies {
		return '▲'
	}
	return '◀'
}

// screen is the column and the row of a place.
func (c *canvas) screen(at spot) (x, y int) {
	if c.lies {
		return at.along, at.across
	}
	return at.across, at.along
}

// stroke adds s, in weight, to a cell, and takes away a text.
func (c *canvas) stroke(along, across int, s, weight cell) {
	at := c.cell(along, across)
	*at = *at&strokes | s*weight
}

// bar draws a line across, from a to b at one place along.
func (c *canvas) bar(along, a, b int, weight cell) {
	for x := a; x <= b; x++ {
		if x > a {
			c.stroke(along, x, c.first(), weight)
		}
		if x < b {
			c.stroke(along, x, c.last(), weight)
		}
	}
}

// drop draws a line along, from a to b in one place across. Where it passes
// the line of a bar, that one goes behind it.
func (c *canvas) drop(across, a, b int, weight cell) {
	for y := a; y <= b; y++ {
		if y > a && y < b {
			*c.cell(y, across) = 0
		}
		if y > a {
			c.stroke(y, across, c.behind(), weight)
		}
		if y < b {
			c.stroke(y, across, c.ahead(), weight)
		}
	}
}

// box draws a box over what is there.
func (c *canvas) box(x0, y0, x1, y1 int) {
	for y := y0; y <= y1; y++ {
		for x := x0; x <= x1; x++ {
			var s cell
			if y == y0 || y == y1 {
				s = left | right
			}
			if x == x0 || x == x1 {
				s |= up | down
			}
			if x == x0 {
				s &^= left
			}
			if x == x1 {
				s &^= right
			}
			if y == y0 {
				s &^= up
			}
			if y == y1 {
				s &^= down
			}
			c.cells[y*c.width+x] = s
		}
	}
}

// put writes a character to a cell.
func (c *canvas) put(along, across int, r rune) {
	*c.cell(along, across) = textBit | cell(r)<<8
}

// text writes s from column x of row y, never turned.
func (c *canvas) text(x, y int, s string) {
	for _, r := range s {
		n := columns(r)
		if n == 0 {
			continue
		}
		c.cells[y*c.width+x] = textBit | cell(r)<<8
		if n == 2 {
			c.cells[y*c.width+x+1] = continued
		}
		x += n
	}
}

// glyphs are the characters of all strokes that have one.
var glyphs = boxGlyphs()

func boxGlyphs() [256]rune {
	var all [256]rune
	// Each character with its strokes: up, right, down, left; 1 thin, 2 double.
	for s := range strings.FieldsSeq(`
		╵1000 ╶0100 ╷0010 ╴0001 │1010 ─0101 ┌0110 ┐0011 └1100 ┘1001
		├1110 ┤1011 ┬0111 ┴1101 ┼1111
		║2000 ═0200 ║0020 ═0002 ║2020 ═0202 ╔0220 ╗0022 ╚2200 ╝2002
		╠2220 ╣2022 ╦0222 ╩2202 ╬2222
		╞1210 ╡1012 ╤0212 ╧1202 ╪1212
		╟2120 ╢2021 ╥0121 ╨2101 ╫2121
	`) {
		glyph := []rune(s)
		var c cell
		for i, weight := range glyph[1:] {
			c |= cell(weight-'0') << (2 * i)
		}
		all[c] = glyph[0]
	}
	return all
}

// write writes the rows, without spaces at their ends.
func (c *canvas) write(w io.Writer, plain bool) error {
	out := bufio.NewWriter(w)
	for y := range c.height {
		row := c.cells[y*c.width : (y+1)*c.width]
		end := len(row)
		for end > 0 && (row[end-1] == 0 || row[end-1] == textBit|' '<<8) {
			end--
		}
		for _, v := range row[:end] {
			switch {
			case v == 0:
				out.WriteByte(' ')
			case v == continued && !plain:
			case plain:
				out.WriteByte(plainCell(v))
			case v&textBit != 0:
				out.WriteRune(rune(v &^ textBit >> 8))
			default:
				out.WriteRune(glyphs[v])
			}
		}
		out.WriteByte('\n')
	}
	return out.Flush()
}

// plainCell is the 7-bit stand-in for a cell.
func plainCell(v cell) byte {
	const flat, upright = (left | right) * (thin | double), (up | down) * (thin | double)
	isDouble := v&((up|right|down|left)*double) != 0
	switch {
	case v&textBit != 0:
		return plainRune(rune(v &^ textBit >> 8))
	case v&flat == 0 && isDouble:
		return '#'
	case v&flat == 0:
		return '|'
	case v&upright == 0 && isDouble:
		return '='
	case v&upright == 0:
		return '-'
	case isDouble:
		return '#'
	}
	return '+'
}

// plainRune is the 7-bit stand-in for a character.
func plainRune(r rune) byte {
	switch {
	case r >= ' ' && r < 0x7f:
		return byte(r)
	case r == '…':
		return '~'
	}
	if i := strings.IndexRune(drawn, r); i >= 0 {
		return drawnPlain[utf8.RuneCountInString(drawn[:i])]
	}
	return '?'
}

// Arrow heads and the frames of groups, and their stand-ins.
const (
	drawn      = "▼▲◀▶┄┆╭╮╰╯"
	drawnPlain = "v^<>.:..''"
)

// plainText is s in 7-bit characters.
func plainText(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' {
			return r
		}
		return rune(plainRune(r))
	}, s)
}
