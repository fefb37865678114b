package bench

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// A Value is one figure of a measurement.
type Value struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

// A Result is what one measurement of one server in one round gave; in round 0,
// the medians of all rounds.
type Result struct {
	Measurement string  `json:"measurement"`
	Server      string  `json:"server"`
	Round       int     `json:"round"`
	Values      []Value `json:"values,omitempty"`
	Error       string  `json:"error,omitempty"`
}

func (r Result) value(name string) (float64, bool) {
	i := slices.IndexFunc(r.Values, func(v Value) bool { return v.Name == name })
	if i < 0 {
		return 0, false
	}
	return r.Values[i].Value, true
}

// A report gathers results and shows medians.
type report struct {
	servers []string
	results []Result
}

func (r *report) add(res Result) {
	if !slices.Contains(r.servers, res.Server) {
		r.servers = append(r.servers, res.Server)
	}
	r.results = append(r.results, res)
}

// medians returns one Result for each measurement and server, in order of first
// appearance. A measurement that failed in a round counts by its other rounds.
func (r *report) medians() []Result {
	type key struct{ measurement, server string }
	groups := make(map[key][]Result)
	var order []key
	for _, res := range r.results {
		k := key{res.Measurement, res.Server}
		if _, ok := groups[k]; !ok {
			order = append(order, k)
		}
		groups[k] = append(groups[k], res)
	}
	out := make([]Result, 0, len(order))
	for _, k := range order {
		out = append(out, median(groups[k]))
	}
	return out
}

func median(rounds []Result) Result {
	m := Result{Measurement: rounds[0].Measurement, Server: rounds[0].Server}
	samples := make(map[string][]float64)
	for _, res := range rounds {
		if res.Error != "" {
			m.Error = res.Error
		}
		for _, v := range res.Values {
			if samples[v.Name] == nil {
				m.Values = append(m.Values, v)
			}
			samples[v.Name] = append(samples[v.Name], v.Value)
		}
	}
	for i := range m.Values {
		s := samples[m.Values[i].Name]
		slices.Sort(s)
		m.Values[i].Value = (s[(len(s)-1)/2] + s[len(s)/2]) / 2
	}
	return m
}

// table writes the medians, a column for each server, and the ratio of the
// first server to each other.
func (r *report) table(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	header := "measurement\tunit\t"
	for _, s := range r.servers {
		header += s + "\t"
	}
	for _, s := range r.servers[1:] {
		header += "÷ " + s + "\t"
	}
	fmt.Fprintln(tw, header)

	medians := r.medians()
	find := func(measurement, server string) Result {
		i := slices.IndexFunc(medians, func(m Result) bool {
			return m.Measurement == measurement && m.Server == server
		})
		if i < 0 {
			return Result{}
		}
		return medians[i]
	}
	var done []string
	for _, m := range medians {
		if slices.Contains(done, m.Measurement) {
			continue
		}
		done = append(done, m.Measurement)
		columns := make([]Result, len(r.servers))
		for i, s := range r.servers {
			columns[i] = find(m.Measurement, s)
			if e := columns[i].Error; e != "" {
				fmt.Fprintf(tw, "%s\t%s: %s\t\n", m.Measurement, s, e)
			}
		}
		for _, v := range allValues(columns) {
			writeRow(tw, m.Measurement, v, columns)
		}
	}
	return tw.Flush()
}

// allValues names every value that any column has.
func allValues(columns []Result) []Value {
	var all []Value
	for _, c := range columns {
		for _, v := range c.Values {
			if !slices.ContainsFunc(all, func(a Value) bool { return a.Name == v.Name }) {
				all = append(all, v)
			}
		}
	}
	return all
}

func writeRow(w io.Writer, measurement string, v Value, columns []Result) {
	fmt.Fprintf(w, "%s %s\t%s\t", measurement, v.Name, v.Unit)
	figures := make([]float64, len(columns))
	known := make([]bool, len(columns))
	for i, c := range columns {
		if figures[i], known[i] = c.value(v.Name); !known[i] {
			fmt.Fprint(w, "-\t")
			continue
		}
		fmt.Fprintf(w, "%s\t", figure(figures[i]))
	}
	for i := 1; i < len(columns); i++ {
		if !known[0] || !known[i] || figures[i] == 0 {
			fmt.Fprint(w, "-\t")
			continue
		}
		fmt.Fprintf(w, "%.2f\t", figures[0]/figures[i])
	}
	fmt.Fprintln(w)
}

// figure shows three digits that count.
func figure(f float64) string {
	switch {
	case f == 0:
		return "0"
	case f >= 100 || f <= -100:
		return fmt.Sprintf("%.0f", f)
	case f >= 10 || f <= -10:
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.2f", f)
}
