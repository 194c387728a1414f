//! How an answer is wanted.

use super::super::error::{Code, Error};
use super::super::extract::unknown;
use super::OUTPUT;
use super::request::{Inference, OutputParameters};

/// The output as a request wants it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// As bytes behind the JSON.
    pub binary: bool,
    /// Not the probabilities: the names of so many of the most probable classes.
    pub classes: Option<usize>,
}

impl Wanted {
    /// What `request` says; another output, or one twice, is refused.
    pub fn of(request: &Inference<'_>) -> Result<Self, Error> {
        let mut asked = None;
        for output in request.outputs.iter().flat_map(|outputs| &outputs.0) {
            if output.name != OUTPUT {
                return Err(Error::new(Code::BadRequest, unknown("output", &output.name, &[OUTPUT])));
            }
            if asked.replace(output.parameters.unwrap_or_default()).is_some() {
                return Err(Error::new(Code::BadRequest, format!("the output `{OUTPUT}` is asked for twice: ask once")));
            }
        }
        let OutputParameters { binary_data, classification } = asked.unwrap_or_default();
        let binary = binary_data.or(request.parameters.unwrap_or_default().binary_data_output).unwrap_or(false);
        // Clients send 0 where they want none.
        let classes = classification.filter(|&count| count > 0).map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        Ok(Self { binary, classes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(rest: &str) -> Result<Wanted, String> {
        let text = format!(r#"{{"inputs": []{rest}}}"#);
        Wanted::of(&serde_json::from_str(&text).unwrap()).map_err(|e| format!("{e:?}"))
    }

    #[test]
    fn an_output_says_more_than_its_request() {
        let json = Wanted::default();
        let binary = Wanted { binary: true, classes: None };
        for (rest, expected) in [
            ("", json),
            (r#", "outputs": []"#, json),
            (r#", "outputs": null, "parameters": null, "id": null"#, json),
            (r#", "parameters": {"binary_data_output": true, "priority": 3}"#, binary),
            (r#", "outputs": [{"name": "probabilities", "parameters": {"binary_data": true}}]"#, binary),
            (
                r#", "parameters": {"binary_data_output": true},
                   "outputs": [{"name": "probabilities", "parameters": {"binary_data": false, "classification": 2}}]"#,
                Wanted { binary: false, classes: Some(2) },
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
