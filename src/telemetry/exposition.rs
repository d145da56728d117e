use std::fmt;

use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::metrics;
use crate::kernel::Error;

/// A figure that is looked up when Prometheus asks, rather than counted.
#[derive(Clone, Debug)]
pub struct Sample {
    /// One that ends in `_total` only ever grows.
    name: &'static str,
    help: &'static str,
    labels: Vec<(&'static str, String)>,
    value: f64,
}

impl Sample {
    /// A figure without labels.
    pub fn new(name: &'static str, help: &'static str, value: f64) -> Self {
        Self { name, help, labels: Vec::new(), value }
    }

    /// The same with another label.
    pub fn label(mut self, name: &'static str, value: &str) -> Self {
        self.labels.push((name, value.to_owned()));
        self
    }
}

/// What was counted, and `samples`, in Prometheus' text format, version 0.0.4. Samples of one name stand together.
pub fn exposition(samples: &[Sample]) -> Result<String, Error> {
    let written = |error: fmt::Error| Error::internal("the figures could not be written", error);
    let mut text = String::new();
    encode_registry(&mut text, &metrics::METRICS.registry).map_err(written)?;
    encode_registry(&mut text, &registry_of(samples)).map_err(written)?;
    Ok(to_classic_format(&text))
}

fn registry_of(samples: &[Sample]) -> Registry {
    let mut registry = Registry::default();
    for family in samples.chunk_by(|one, other| one.name == other.name) {
        let Some(Sample { name, help, .. }) = family.first() else { continue };
        match name.strip_suffix("_total") {
            Some(name) => {
                let counters = Family::<Vec<(&str, String)>, Counter<f64, std::sync::atomic::AtomicU64>>::default();
                for sample in family {
                    counters.get_or_create(&sample.labels).inc_by(sample.value.max(0.0));
                }
                registry.register(name, *help, counters);
            }
            None => {
                let gauges = Family::<Vec<(&str, String)>, Gauge<f64, std::sync::atomic::AtomicU64>>::default();
                for sample in family {
                    gauges.get_or_create(&sample.labels).set(sample.value);
                }
                registry.register(*name, *help, gauges);
            }
        }
    }
    registry
}

/// The library writes OpenMetrics, whose only difference for us is that the head of a counter lacks `_total`.
fn to_classic_format(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len() + 1024);
    let mut lines = open_metrics.lines().peekable();
    while let Some(line) = lines.next() {
        let name = |head: &str| line.strip_prefix(head)?.split(' ').next().map(str::to_owned);
        let help = name("# HELP ").filter(|name| lines.peek() == Some(&format!("# TYPE {name} counter").as_str()));
        let kind = name("# TYPE ").filter(|_| line.ends_with(" counter"));
        match help.or(kind) {
            Some(name) => text.push_str(&line.replacen(&name, &format!("{name}_total"), 1)),
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_in_the_classic_format() {
        let sample = |name, label: &str, value| Sample::new(name, "Helps", value).label("l", label);
        let samples =
            [sample("x_seconds_total", "a", 1.5), sample("x_seconds_total", "b\"\n", 2.0), sample("y", "c", -1.0)];
        let mut text = String::new();
        encode_registry(&mut text, &registry_of(&samples)).unwrap();
        let mut lines: Vec<_> = to_classic_format(&text).lines().map(str::to_owned).collect();
        lines.sort();
        let expected = [
            "# HELP x_seconds_total Helps.",
            "# HELP y Helps.",
            "# TYPE x_seconds_total counter",
            "# TYPE y gauge",
            "x_seconds_total{l=\"a\"} 1.5",
            "x_seconds_total{l=\"b\\\"\\n\"} 2.0",
            "y{l=\"c\"} -1.0",
        ];
        assert_eq!(lines, expected);
    }
}
