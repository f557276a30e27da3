package convert

import "strings"

// writeTable prints rows with aligned columns; those in the list right are flushed right, the last is not padded.
func writeTable(b *strings.Builder, rows [][]string, right ...int) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-len(cell))
			if i > 0 {
				line.WriteString("  ")
			}
			flushRight := false
			for _, c := range right {
				flushRight = flushRight || c == i
			}
			if flushRight {
				line.WriteString(pad + cell)
			} else {
				line.WriteString(cell + pad)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}
