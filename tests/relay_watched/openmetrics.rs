//! Reads OpenMetrics' text format, strictly: what Prometheus would not take is a panic.

use std::collections::{BTreeMap, BTreeSet};

/// The answer of `/metrics`.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// The type of each family, by its name.
    pub(crate) families: BTreeMap<String, String>,
    series: BTreeMap<String, f64>,
}

impl Metrics {
    pub(crate) fn parse(text: &str) -> Self {
        let text = text.strip_suffix("# EOF\n").expect("an end");
        let mut families = BTreeMap::new();
        let mut series = BTreeMap::new();
        let mut current = String::new();
        let mut helped = BTreeSet::new();
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                let (what, rest) = comment.split_once(' ').expect(line);
                let (name, value) = rest.split_once(' ').expect(line);
                match what {
                    "HELP" => assert!(helped.insert(name.to_owned()), "twice: {line}"),
                    "UNIT" => assert!(name.ends_with(&format!("_{value}")), "{line}"),
                    "TYPE" => {
                        current = name.to_owned();
                        let before = families.insert(current.clone(), value.to_owned());
                        assert_eq!(before, None, "its lines stand together: {line}");
                    }
                    _ => panic!("{line}"),
                }
                continue;
            }
            let (name, value) = line.rsplit_once(' ').expect(line);
            assert!(name.starts_with(&current), "of no family: {line}");
            let before = series.insert(name.to_owned(), value.parse().expect(line));
            assert_eq!(before, None, "twice: {line}");
        }
        let without_help = families.keys().find(|name| !helped.contains(*name));
        assert_eq!(without_help, None);
        Self { families, series }
    }

    /// The value of a series: a name, and its labels in braces if it has any.
    pub(crate) fn value(&self, series: &str) -> f64 {
        let value = self.series.get(series);
        *value.unwrap_or_else(|| panic!("no {series} in {:#?}", self.series))
    }

    /// The values of a label of a family.
    pub(crate) fn values_of(&self, family: &str, label: &str) -> BTreeSet<String> {
        let of_family = self.series.keys().filter_map(|series| {
            let (name, labels) = series.split_once('{')?;
            let rest = name.strip_prefix(family)?;
            matches!(rest, "" | "_bucket").then_some(labels.trim_end_matches('}'))
        });
        let pairs = of_family.flat_map(|labels| labels.split(','));
        let values = pairs.filter_map(|pair| pair.strip_prefix(label)?.strip_prefix("=\""));
        let values = values.filter(|_| !label.is_empty());
        values
            .map(|value| value.trim_end_matches('"').to_owned())
            .collect()
    }

    /// The names that a query may have, as Prometheus stores them.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        let series = self.series.keys();
        let names = series.map(|s| s.split('{').next().unwrap().to_owned());
        names.collect()
    }
}
