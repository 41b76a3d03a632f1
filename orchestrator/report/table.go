package report

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
	"golang.org/x/term"

	"github.com/ainur-faas/ainur/internal/printable"
)

// Table is rows under columns. It decides once how ainur's tables look.
type Table struct {
	Columns []Column
	Rows    [][]string // as many cells as columns
}

// Column is the head of a column.
type Column struct {
	Name   string
	Unit   string // of every number in the column, "" for none
	Number bool   // aligned to the right
}

func (c Column) title() string {
	if c.Unit == "" {
		return c.Name
	}
	return c.Name + " " + c.Unit
}

// Write writes the table: with borders and fitted to the width on a terminal,
// else plain and with every cell whole.
func (t Table) Write(w io.Writer) error {
	width, terminal := terminalWidth(w)
	return t.write(w, width, terminal)
}

func (t Table) write(w io.Writer, width int, terminal bool) error {
	rendition := tw.Rendition{Borders: tw.BorderNone, Symbols: tw.NewSymbols(tw.StyleNone), Settings: tw.Settings{Lines: tw.LinesNone, Separators: tw.SeparatorsNone}}
	padding := tw.Padding{Right: "  ", Overwrite: true}
	if terminal {
		rendition = tw.Rendition{Symbols: tw.NewSymbols(tw.StyleLight)}
		padding = tw.PaddingDefault
	}
	var b bytes.Buffer
	if err := t.render(&b, terminal, tablewriter.WithMaxWidth(width), // 0 is no limit
		tablewriter.WithRenderer(renderer.NewBlueprint(rendition)), tablewriter.WithPadding(padding)); err != nil {
		return err
	}
	for line := range bytes.Lines(b.Bytes()) {
		if _, err := fmt.Fprintf(w, "%s\n", bytes.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// Markdown writes the table for a Markdown page.
func (t Table) Markdown(w io.Writer) error {
	escaped := Table{Columns: t.Columns}
	for _, row := range t.Rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;").Replace(cell)
		}
		escaped.Rows = append(escaped.Rows, cells)
	}
	return escaped.render(w, false, tablewriter.WithRenderer(renderer.NewMarkdown()))
}

func (t Table) render(w io.Writer, tallHeader bool, options ...tablewriter.Option) error {
	header, align := make([]string, len(t.Columns)), make(tw.Alignment, len(t.Columns))
	for i, c := range t.Columns {
		header[i], align[i] = c.title(), tw.AlignLeft
		if tallHeader && c.Unit != "" {
			header[i] = c.Name + "\n" + c.Unit
		}
		if c.Number {
			align[i] = tw.AlignRight
		}
	}
	table := tablewriter.NewTable(w, append([]tablewriter.Option{
		tablewriter.WithHeaderAutoFormat(tw.Off),
		tablewriter.WithAlignment(align),
		tablewriter.WithHeaderAlignmentConfig(tw.CellAlignment{PerColumn: align}),
	}, options...)...)
	table.Header(header)
	for _, row := range t.Rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = printable.Text(cell)
		}
		if err := table.Append(cells); err != nil {
			return err
		}
	}
	return table.Render()
}

// terminalWidth is the width of w in columns, and whether w is a terminal.
func terminalWidth(w io.Writer) (int, bool) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
		return width, true
	}
	if width, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && width > 0 {
		return width, true
	}
	return 80, true
}
