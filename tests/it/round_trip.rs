//! Sealing and opening gives the same bytes again.

use orlop::SelectionRule;

use crate::support::{corpus, open, seal, testdata};

/// What a file of the corpus comes back as: itself, unless it is one of the exceptions that the manual lists,
/// whose bytes stand below `testdata/corpus/opened`.
fn expected(name: &str, plain: &[u8]) -> Vec<u8> {
    std::fs::read(testdata(&format!("corpus/opened/{name}.yaml"))).unwrap_or_else(|_| plain.to_vec())
}

fn comes_back(name: &str, plain: &[u8], rule: SelectionRule, mac_only: bool) -> Result<Vec<u8>, String> {
    let sealed = seal(plain, rule, mac_only).map_err(|error| format!("{name}: not sealed: {error}"))?;
    let open = open(sealed.expose()).map_err(|error| format!("{name}: not opened: {error}"))?;
    if !open.odd_comments().is_empty() {
        return Err(format!("{name}: comments that do not open at {:?}", open.odd_comments()));
    }
    let text = open.plain_text().map_err(|error| format!("{name}: {error}"))?;
    Ok(text.expose().to_vec())
}

#[test]
fn every_corpus_file_comes_back_byte_for_byte() {
    let mut problems = Vec::new();
    for (name, plain) in corpus() {
        match comes_back(&name, &plain, SelectionRule::default(), false) {
            Ok(text) if text == expected(&name, &plain) => {}
            Ok(text) => problems.push(format!(
                "{name} came back as:\n{}\ninstead of:\n{}",
                String::from_utf8_lossy(&text),
                String::from_utf8_lossy(&expected(&name, &plain))
            )),
            Err(problem) => problems.push(problem),
        }
    }
    assert!(problems.is_empty(), "{} files:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn what_came_back_changed_comes_back_the_same_from_then_on() {
    for (name, plain) in corpus() {
        let once = expected(&name, &plain);
        let twice = comes_back(&name, &once, SelectionRule::default(), false).unwrap();
        assert_eq!(String::from_utf8_lossy(&twice), String::from_utf8_lossy(&once), "{name}");
    }
}

#[test]
fn a_file_whose_values_all_stay_in_clear_is_not_touched_but_for_its_metadata() {
    for (name, plain) in corpus() {
        let is_unlike_itself = |kind: &str| name.starts_with(kind);
        if ["anchors-", "document", "bytes-utf16", "comment-10", "comment-27", "helm-umbrella", "helm-web"]
            .into_iter()
            .any(is_unlike_itself)
        {
            continue; // aliases are written out and empty documents filled whatever is sealed
        }
        let rule = SelectionRule::EncryptedRegex("^no key is called like this$".to_owned());
        let sealed = seal(&plain, rule.clone(), false).unwrap();
        assert!(!sealed.expose().windows(4).any(|w| w == b"\nENC"), "{name}");
        match comes_back(&name, &plain, rule, false) {
            Ok(text) => assert_eq!(String::from_utf8_lossy(&text), String::from_utf8_lossy(&plain), "{name}"),
            Err(problem) => panic!("{problem}"),
        }
    }
}
