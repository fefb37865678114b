package admin

import "github.com/prometheus/client_golang/prometheus"

// Family is one kind of number: a name, what it means, its labels.
type Family struct {
	name string
	desc *prometheus.Desc
	kind prometheus.ValueType
}

// Name is the family's name in /metrics.
func (f *Family) Name() string { return f.name }

// Counter is a family of numbers that only grow. By custom their names end in
// _total.
func Counter(name, help string, labels ...string) *Family {
	return &Family{name, prometheus.NewDesc(name, help, labels, nil), prometheus.CounterValue}
}

// Gauge is a family of numbers that go up and down.
func Gauge(name, help string, labels ...string) *Family {
	return &Family{name, prometheus.NewDesc(name, help, labels, nil), prometheus.GaugeValue}
}

// Sample is one number. Labels are the values of its family's labels, in their
// order.
type Sample struct {
	Family *Family
	Value  float64
	Labels []string
}

// NewCollector turns a snapshot of counters into metrics. The code that counts
// never meets Prometheus: snapshot is called once for each scrape, from the
// goroutine of the scrape, and may be called from several at once.
func NewCollector(snapshot func() []Sample, families ...*Family) prometheus.Collector {
	return &collector{families, snapshot}
}

type collector struct {
	families []*Family
	snapshot func() []Sample
}

func (c *collector) Describe(descs chan<- *prometheus.Desc) {
	for _, f := range c.families {
		descs <- f.desc
	}
}

func (c *collector) Collect(metrics chan<- prometheus.Metric) {
	for _, s := range c.snapshot() {
		m, err := prometheus.NewConstMetric(s.Family.desc, s.Family.kind, s.Value, s.Labels...)
		if err != nil {
			m = prometheus.NewInvalidMetric(s.Family.desc, err)
		}
		metrics <- m
	}
}
