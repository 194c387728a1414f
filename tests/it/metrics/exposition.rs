//! `OpenMetrics` text, read strictly: <https://prometheus.io/docs/specs/om/open_metrics_spec/>.

use std::collections::{BTreeMap, BTreeSet};

/// What a scrape said: every sample by its name and labels.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    /// The type of each family.
    pub(crate) families: BTreeMap<String, String>,
    samples: BTreeMap<(String, BTreeMap<String, String>), f64>,
}

impl Exposition {
    /// Reads `text`, and fails on anything that the format does not allow.
    pub(crate) fn read(text: &str) -> Self {
        let mut this = Self::default();
        let (body, end) = text.rsplit_once("# EOF\n").expect("the end is marked");
        assert_eq!(end, "", "nothing stands after the end");
        let mut family = String::new();
        for line in body.lines() {
            if let Some(rest) = line.strip_prefix("# ") {
                let (word, rest) = rest.split_once(' ').expect(line);
                let (name, value) = rest.split_once(' ').expect(line);
                match word {
                    "TYPE" => assert!(this.families.insert(name.into(), value.into()).is_none(), "{name} is there twice"),
                    "UNIT" => assert!(name.ends_with(&format!("_{value}")), "{line}"),
                    "HELP" => assert!(value.ends_with('.') && value.len() > 10, "{line}"),
                    _ => panic!("{line}"),
                }
                name.clone_into(&mut family);
            } else {
                this.sample(line, &family);
            }
        }
        this.check_histograms();
        this
    }

    fn sample(&mut self, line: &str, family: &str) {
        let (series, value) = line.rsplit_once(' ').expect(line);
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, read_labels(labels.strip_suffix('}').expect(line))),
            None => (series, BTreeMap::new()),
        };
        let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("`{line}` stands among {family}"));
        let allowed: &[&str] = match self.families[family].as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_bucket", "_sum", "_count"],
            "info" => &["_info"],
            other => panic!("{other} of {family}"),
        };
        assert!(allowed.contains(&suffix), "{line}");
        let value = value.parse().expect(line);
        assert!(self.samples.insert((name.into(), labels), value).is_none(), "{line} is there twice");
    }

    fn check_histograms(&self) {
        for ((name, labels), &count) in self.samples.iter().filter(|((name, _), _)| name.ends_with("_count")) {
            let bucket = name.replace("_count", "_bucket");
            let of_this = |other: &BTreeMap<String, String>| {
                let mut other = other.clone();
                other.remove("le").is_some() && other == *labels
            };
            let limit = |labels: &BTreeMap<String, String>| labels["le"].parse::<f64>().unwrap();
            let found = self.samples.iter().filter(|((name, other), _)| *name == bucket && of_this(other));
            let mut buckets: Vec<(f64, f64)> = found.map(|((_, labels), &value)| (limit(labels), value)).collect();
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{name}: {buckets:?}");
            assert_eq!(buckets.last().unwrap(), &(f64::INFINITY, count), "{name}");
        }
    }

    /// The sum of the samples `name` whose labels are as said; None where there are none.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let fits = |own: &BTreeMap<String, String>| labels.iter().all(|(key, value)| own.get(*key).is_some_and(|own| own == value));
        let found: Vec<f64> =
            self.samples.iter().filter(|((other, own), _)| other == name && fits(own)).map(|(_, &value)| value).collect();
        (!found.is_empty()).then(|| found.iter().sum())
    }

    /// The names of all samples.
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        self.samples.keys().map(|(name, _)| name.as_str()).collect()
    }

    /// The values of the label `key` of the samples `name`.
    pub(crate) fn values(&self, name: &str, key: &str) -> BTreeSet<&str> {
        let own = self.samples.keys().filter(|(other, _)| other == name);
        own.filter_map(|(_, labels)| labels.get(key)).map(String::as_str).collect()
    }
}

fn read_labels(text: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, value) = rest.split_once("=\"").expect(text);
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{text}");
        let end = value.find('"').expect(text);
        assert!(!value[..end].contains('\\'), "nothing here needs an escape: {text}");
        assert!(labels.insert(name.to_owned(), value[..end].to_owned()).is_none(), "{text}");
        rest = value[end + 1..].trim_start_matches(',');
    }
    labels
}
