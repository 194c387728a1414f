//! What a word that is not known was meant as.

/// The known word closest to `word`, if one is close enough to be meant.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance = |candidate: &&str| strsim::damerau_levenshtein(word, candidate);
    known.iter().copied().min_by_key(distance).filter(|best| distance(best) <= 1 + word.len() / 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_understood_and_another_word_is_not() {
        let known = ["device", "kernels", "data_dir"];
        assert_eq!(nearest("devise", &known), Some("device"));
        assert_eq!(nearest("datadir", &known), Some("data_dir"));
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(nearest("device", &[]), None);
    }
}
