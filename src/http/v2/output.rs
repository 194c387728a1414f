//! How an answer is wanted.

use super::super::error::{Code, Error};
use super::super::extract::unknown;
use super::OUTPUT;
use super::request::{Inference, OutputParameters};

/// An output as a request wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Which one.
    pub name: &'static str,
    /// As bytes behind the JSON.
    pub binary: bool,
    /// Not the probabilities: the names of so many of the most probable classes.
    pub classes: Option<usize>,
}

impl Wanted {
    /// All `known` outputs, as bytes.
    pub fn bytes(known: &[&'static str]) -> Vec<Self> {
        known.iter().map(|&name| Self { name, binary: true, classes: None }).collect()
    }

    /// What `request` says of a model's `known` outputs, in the request's order: all of them where it says nothing. Another output, or
    /// one twice, is refused.
    pub fn of(request: &Inference<'_>, known: &[&'static str]) -> Result<Vec<Self>, Error> {
        let all = request.parameters.unwrap_or_default().binary_data_output;
        let wanted = |name: &'static str, parameters: OutputParameters| {
            // Clients send 0 where they want none; only probabilities have classes.
            let classes = parameters.classification.filter(|&count| count > 0 && name == OUTPUT);
            let classes = classes.map(|count| usize::try_from(count).unwrap_or(usize::MAX));
            Self { name, binary: parameters.binary_data.or(all).unwrap_or(false), classes }
        };
        let mut asked: Vec<Self> = Vec::new();
        for output in request.outputs.iter().flat_map(|outputs| &outputs.0) {
            let Some(&name) = known.iter().find(|name| **name == output.name) else {
                return Err(Error::new(Code::BadRequest, unknown("output", &output.name, known)));
            };
            if asked.iter().any(|other| other.name == name) {
                return Err(Error::new(Code::BadRequest, format!("the output `{name}` is asked for twice: ask once")));
            }
            asked.push(wanted(name, output.parameters.unwrap_or_default()));
        }
        if asked.is_empty() {
            asked.extend(known.iter().map(|name| wanted(name, OutputParameters::default())));
        }
        Ok(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::super::FAMILIARITY;
    use super::*;

    fn all_wanted(rest: &str, known: &[&'static str]) -> Result<Vec<Wanted>, String> {
        let text = format!(r#"{{"inputs": []{rest}}}"#);
        Wanted::of(&serde_json::from_str(&text).unwrap(), known).map_err(|e| format!("{e:?}"))
    }

    fn wanted(rest: &str) -> Result<Wanted, String> {
        all_wanted(rest, &[OUTPUT]).map(|all| {
            assert_eq!(all.len(), 1);
            all[0]
        })
    }

    #[test]
    fn a_model_gives_what_it_has_and_in_the_order_that_was_asked_for() {
        let names = |rest: &str| all_wanted(rest, &[OUTPUT, FAMILIARITY]).unwrap().iter().map(|w| w.name).collect::<Vec<_>>();
        assert_eq!(names(""), [OUTPUT, FAMILIARITY]);
        assert_eq!(names(r#", "outputs": [{"name": "familiarity"}, {"name": "probabilities"}]"#), [FAMILIARITY, OUTPUT]);
        let only = r#", "outputs": [{"name": "familiarity", "parameters": {"classification": 2, "binary_data": true}}]"#;
        let binary = Wanted { name: FAMILIARITY, binary: true, classes: None };
        assert_eq!(all_wanted(only, &[OUTPUT, FAMILIARITY]), Ok(vec![binary]));
        let unknown = wanted(only).unwrap_err();
        assert!(unknown.contains("no output `familiarity`") && unknown.contains("probabilities"), "{unknown}");
    }

    #[test]
    fn an_output_says_more_than_its_request() {
        let json = Wanted { name: OUTPUT, binary: false, classes: None };
        let binary = Wanted { binary: true, ..json };
        for (rest, expected) in [
            ("", json),
            (r#", "outputs": []"#, json),
            (r#", "outputs": null, "parameters": null, "id": null"#, json),
            (r#", "parameters": {"binary_data_output": true, "priority": 3}"#, binary),
            (r#", "outputs": [{"name": "probabilities", "parameters": {"binary_data": true}}]"#, binary),
            (
                r#", "parameters": {"binary_data_output": true},
                   "outputs": [{"name": "probabilities", "parameters": {"binary_data": false, "classification": 2}}]"#,
                Wanted { classes: Some(2), ..json },
            ),
            (
                r#", "parameters": {"binary_data_output": true},
                   "outputs": [{"name": "probabilities", "parameters": {"classification": 0}}]"#,
                binary,
            ),
        ] {
            assert_eq!(wanted(rest), Ok(expected), "{rest}");
        }
        let unknown = wanted(r#", "outputs": [{"name": "probability"}]"#).unwrap_err();
        assert!(unknown.contains("no output `probability`. Did you mean `probabilities`?"), "{unknown}");
        let twice = wanted(r#", "outputs": [{"name": "probabilities"}, {"name": "probabilities"}]"#).unwrap_err();
        assert!(twice.contains("asked for twice"), "{twice}");
    }
}
