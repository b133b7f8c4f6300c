//! dotenv and INI: every file comes back as it was, and goes both ways between orlop and real sops.

use orlop::document::{Spot, WalkError, walk};
use orlop::store::{Format, Store};
use orlop::{
    DataKey, FileError, KeyGroup, MasterKey, Metadata, OpenFile, PlainFile, SealedFile, SecretText,
    Selection, SelectionRule,
};

use crate::support::{STYLE, keyring, recipient, testdata};

/// The formats, with the folder of the corpus and the ending of its files.
const FORMATS: [(Format, &str, &str); 2] = [(Format::Dotenv, "dotenv", "env"), (Format::Ini, "ini", "ini")];

fn store(format: Format) -> &'static dyn Store {
    format.store().expect("the format is in every build")
}

/// The plain files of a corpus.
fn corpus(folder: &str, ending: &str) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(testdata(&format!("corpus/{folder}"))).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let paths = paths.filter(|path| path.extension().is_some_and(|found| found == ending));
    let mut files: Vec<(String, Vec<u8>)> = paths
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .collect();
    files.sort();
    assert!(files.len() >= 40, "the corpus of {folder} has at least 40 files");
    files
}

fn seal(format: Format, text: &[u8], rule: SelectionRule, mac_only: bool) -> Result<Vec<u8>, FileError> {
    let key = DataKey::generate()?;
    let recipient = MasterKey::Age(orlop::provider::age::Recipient::of_file(&recipient()));
    let mut metadata = Metadata::new(vec![KeyGroup::of_keys([recipient])], rule);
    metadata.mac_only_encrypted = mac_only;
    keyring().wrap(&mut metadata.key_groups, 0, &key).unwrap();
    let plain = PlainFile::parse(SecretText::copy_of(text), store(format))?;
    Ok(plain.seal(&key, metadata, STYLE)?.expose().to_vec())
}

fn key_of(file: &SealedFile) -> DataKey {
    keyring().unlock(&file.metadata().key_groups, file.metadata().shamir_threshold).unwrap()
}

fn open(format: Format, sealed: &[u8]) -> Result<(OpenFile, DataKey), FileError> {
    let file = SealedFile::parse(SecretText::copy_of(sealed), store(format))?;
    let key = key_of(&file);
    Ok((file.open(&key)?, key))
}

fn plain(format: Format, sealed: &[u8]) -> Result<Vec<u8>, FileError> {
    Ok(open(format, sealed)?.0.plain_text()?.expose().to_vec())
}

/// Every value of a plain text with its path, in order.
fn values(format: Format, text: &[u8]) -> Vec<(String, String)> {
    let document = store(format).parse(SecretText::copy_of(text)).unwrap();
    let selection = Selection::compile(&SelectionRule::All).unwrap();
    let mut values = Vec::new();
    walk(&document, &selection, |place| -> Result<(), WalkError> {
        if let Spot::Leaf(leaf) = place.spot {
            let value = store(format).read(&document, leaf).unwrap().unwrap();
            values.push((place.path.to_string(), String::from_utf8_lossy(value.expose()).into_owned()));
        }
        Ok(())
    })
    .unwrap();
    values
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn report(problems: impl IntoIterator<Item = Result<(), String>>) {
    let problems = problems.into_iter().filter_map(Result::err);
    let problems: Vec<String> = problems.map(|problem| problem.chars().take(1_500).collect()).collect();
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

/// How a selection rule is told to orlop and to sops, and whether the MAC is over sealed values only.
type Rule = (SelectionRule, Vec<&'static str>, bool);

fn rules() -> Vec<Rule> {
    let text = str::to_owned;
    vec![
        (SelectionRule::default(), vec![], false),
        (SelectionRule::UnencryptedSuffix(text("_plain")), vec!["--unencrypted-suffix", "_plain"], false),
        (SelectionRule::EncryptedSuffix(text("a")), vec!["--encrypted-suffix", "a"], false),
        (SelectionRule::UnencryptedRegex(text("^[a-cA]$")), vec!["--unencrypted-regex", "^[a-cA]$"], false),
        (
            SelectionRule::EncryptedRegex(text("^([axB]|name)$")),
            vec!["--encrypted-regex", "^([axB]|name)$"],
            true,
        ),
        (SelectionRule::EncryptedCommentRegex(text("o")), vec!["--encrypted-comment-regex", "o"], false),
        (
            SelectionRule::UnencryptedCommentRegex(text("of b")),
            vec!["--unencrypted-comment-regex", "of b"],
            false,
        ),
    ]
}

/// The corpus of every format with every rule.
fn cases() -> Vec<(Format, String, Vec<u8>, Rule)> {
    let mut cases = Vec::new();
    for (format, folder, ending) in FORMATS {
        for (name, text) in corpus(folder, ending) {
            cases.extend(rules().into_iter().map(|rule| (format, name.clone(), text.clone(), rule)));
        }
    }
    cases
}

/// Values over several lines, which come back on one: the continuation is not kept.
const JOINED: &[&str] = &[
    "value-continued",
    "value-continued-with-comment-signs",
    "value-continued-to-nothing",
    "value-continued-at-the-end",
];

#[test]
fn every_file_comes_back_byte_for_byte() {
    report(cases().iter().map(|(format, name, text, rule)| {
        let case = format!("{name} {:?}", rule.1);
        let sealed =
            seal(*format, text, rule.0.clone(), rule.2).map_err(|e| format!("{case}: not sealed: {e}"))?;
        let (file, _) =
            open(*format, &sealed).map_err(|e| format!("{case}: not opened: {e}\n{}", lossy(&sealed)))?;
        if !file.odd_comments().is_empty() {
            return Err(format!("{case}: comments that do not open\n{}", lossy(&sealed)));
        }
        let back = file.plain_text().unwrap();
        if JOINED.contains(&name.as_str()) {
            return match values(*format, back.expose()) == values(*format, text) {
                true => Ok(()),
                false => Err(format!("{case}: other values\n{}", lossy(back.expose()))),
            };
        }
        match back.expose() == text {
            true => Ok(()),
            false => Err(format!("{case}: came back as\n{}\nfrom\n{}", lossy(back.expose()), lossy(&sealed))),
        }
    }));
}

#[test]
fn a_joined_value_is_the_only_one_that_does_not_come_back_as_it_was() {
    for name in JOINED {
        let text = std::fs::read(testdata(&format!("corpus/ini/{name}.ini"))).unwrap();
        let once =
            plain(Format::Ini, &seal(Format::Ini, &text, SelectionRule::default(), false).unwrap()).unwrap();
        assert_ne!(lossy(&once), lossy(&text), "{name} is no exception");
        let twice =
            plain(Format::Ini, &seal(Format::Ini, &once, SelectionRule::default(), false).unwrap()).unwrap();
        assert_eq!(lossy(&once), lossy(&twice), "{name}");
    }
}

#[test]
fn nothing_that_is_selected_stays_in_clear() {
    for (format, folder, ending) in FORMATS {
        for (name, text) in corpus(folder, ending) {
            let sealed = seal(format, &text, SelectionRule::All, false).unwrap();
            let document = store(format).parse(SecretText::copy_of(&sealed)).unwrap();
            let selection = Selection::compile(&SelectionRule::All).unwrap();
            walk(&document, &selection, |place| -> Result<(), WalkError> {
                let found = match place.spot {
                    Spot::Leaf(leaf) => {
                        store(format).read(&document, leaf).unwrap().unwrap().expose().to_vec()
                    }
                    Spot::Comment(comment) => comment.span.of(&sealed).to_vec(),
                };
                assert!(
                    found.is_empty() || found.starts_with(b"ENC[AES256_GCM,"),
                    "{name}: {}",
                    lossy(&found)
                );
                Ok(())
            })
            .unwrap();
        }
    }
}

#[cfg(feature = "peers")]
mod peers {
    use std::process::Output;

    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

    use super::*;
    use crate::generate_flat;
    use crate::support::{in_parallel, sops};

    fn ending(format: Format) -> &'static str {
        FORMATS.iter().find(|(known, ..)| *known == format).unwrap().2
    }

    fn sops_encrypt(format: Format, plain: &[u8], (_, flags, mac_only): &Rule) -> Output {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(format!("f.{}", ending(format)));
        std::fs::write(&file, plain).unwrap();
        let mut args = vec!["--age".to_owned(), recipient()];
        args.extend(flags.iter().map(|flag| (*flag).to_owned()));
        if *mac_only {
            args.push("--mac-only-encrypted".to_owned());
        }
        // The comment rules exist in the old form of the command line only.
        args.extend(["-e".to_owned(), file.to_string_lossy().into_owned()]);
        sops(&args, b"")
    }

    fn sops_decrypt(format: Format, sealed: &[u8]) -> Output {
        sops(["decrypt", "--input-type", format.name(), "--output-type", format.name()], sealed)
    }

    /// Files that sops damages when it seals and opens them by itself, under one rule at least, and how.
    const SOPS_CHANGES: &[(&str, &str)] = &[
        ("comment-of-markers", "a comment in clear that starts with the other marker changes its own"),
        (
            "comment-starts-with-the-other-marker",
            "a comment in clear that starts with the other marker changes its own",
        ),
        (
            "keys-numbered",
            "a key `-` becomes `#1`, which is a comment when the file is read again: it does not open",
        ),
        ("value-ends-like-a-continuation", "a value with a backslash at its end takes in the next line"),
        ("value-quoted-quotes", "a value that has quotes around it loses them"),
    ];

    fn sops_changes(name: &str) -> bool {
        SOPS_CHANGES.iter().any(|(listed, _)| *listed == name)
    }

    /// What one document does on its way through both programs. `Ok(None)`: as it should.
    #[derive(Debug, PartialEq)]
    enum Finding {
        /// sops cannot open what it sealed.
        Lost,
        /// sops opened it to other values, orlop to the right ones.
        Misprinted,
        /// sops printed a comment that stays in clear with another marker.
        Remarked,
    }

    fn both_ways(format: Format, text: &[u8], rule: &Rule) -> Result<Option<Finding>, String> {
        let ours = seal(format, text, rule.0.clone(), rule.2).map_err(|error| error.to_string())?;
        let theirs = sops_encrypt(format, text, rule);
        if !theirs.status.success() {
            return Err(format!("sops does not seal it: {}", lossy(&theirs.stderr)));
        }
        let from_ours = sops_decrypt(format, &ours);
        if !from_ours.status.success() {
            return Err(format!("sops does not open ours: {}\n{}", lossy(&from_ours.stderr), lossy(&ours)));
        }
        if lossy(&from_ours.stdout).contains("ENC[AES256_GCM") && !lossy(text).contains("ENC[AES256_GCM") {
            return Err(format!("something of ours stays sealed:\n{}", lossy(&from_ours.stdout)));
        }
        let from_theirs = sops_decrypt(format, &theirs.stdout);
        if !from_theirs.status.success() {
            return Ok(Some(Finding::Lost));
        }
        if from_ours.stdout != from_theirs.stdout {
            let (ours, theirs) = (lossy(&from_ours.stdout), lossy(&from_theirs.stdout));
            let remarked =
                |text: &str| text.lines().map(|line| line.replacen('#', ";", 1)).collect::<Vec<_>>();
            if format == Format::Ini && remarked(&ours) == remarked(&theirs) {
                return Ok(Some(Finding::Remarked));
            }
            if values(format, &from_theirs.stdout) != values(format, text) {
                return Ok(Some(Finding::Misprinted)); // so it was in the sealed file already
            }
            return Err(format!("sops gives from ours\n{ours}\nfrom theirs\n{theirs}"));
        }
        let opened = plain(format, &theirs.stdout).map_err(|e| format!("{e}\n{}", lossy(&theirs.stdout)))?;
        if opened == from_theirs.stdout {
            return Ok(None);
        }
        let misprinted = store(format).parse(SecretText::copy_of(&from_theirs.stdout)).is_err()
            || values(format, &from_theirs.stdout) != values(format, text);
        if misprinted && values(format, &opened) == values(format, text) {
            return Ok(Some(Finding::Misprinted));
        }
        Err(format!("orlop opens theirs to\n{}\nsops to\n{}", lossy(&opened), lossy(&from_theirs.stdout)))
    }

    #[test]
    fn the_corpora_go_both_ways() {
        let found = in_parallel(&cases(), |(format, name, text, rule)| {
            let found = both_ways(*format, text, rule);
            let found = found.map_err(|problem| format!("{name} {:?}: {problem}", rule.1))?;
            match found.is_none() || sops_changes(name) {
                true => Ok((name.clone(), found.is_some())),
                false => Err(format!("{name} {:?}: {found:?}", rule.1)),
            }
        });
        let (found, problems): (Vec<_>, Vec<_>) = found.into_iter().partition(Result::is_ok);
        report(problems.into_iter().map(|problem| problem.map(|_| ())));
        let changed: Vec<String> =
            found.into_iter().flatten().filter(|(_, changed)| *changed).map(|(name, _)| name).collect();
        for (name, reason) in SOPS_CHANGES {
            assert!(changed.iter().any(|changed| changed == name), "{name} is no exception: {reason}");
        }
    }

    /// How many generated files of each format go through both programs.
    const GENERATED: usize = 1_000;

    fn generated(format: Format) -> Vec<String> {
        // The seed is fixed: a file that fails once fails again.
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, b"orlop: flat files for both ways!");
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        let one = match format {
            Format::Dotenv => generate_flat::dotenv,
            _ => generate_flat::ini,
        };
        (0..GENERATED).map(|_| one(&mut runner)).collect()
    }

    fn a_thousand_go_both_ways(format: Format, fewer_changed_than: usize) {
        let rules = rules();
        let numbered: Vec<(usize, String)> = generated(format).into_iter().enumerate().collect();
        let found = in_parallel(&numbered, |(number, text)| {
            let rule = &rules[number % rules.len()];
            let problem = |problem| format!("file {number} {:?}: {problem}\n{text}", rule.1);
            let sealed =
                seal(format, text.as_bytes(), rule.0.clone(), rule.2).map_err(|e| problem(e.to_string()))?;
            let back = plain(format, &sealed).map_err(|e| problem(e.to_string()))?;
            if back != text.as_bytes() {
                return Err(problem(format!("came back as\n{:?}\ninstead of\n{text:?}", lossy(&back))));
            }
            both_ways(format, text.as_bytes(), rule).map_err(problem)
        });
        let changed = found.iter().filter(|found| matches!(found, Ok(Some(_)))).count();
        report(found.into_iter().map(|found| found.map(|_| ())));
        assert!(changed < fewer_changed_than, "sops changes {changed} files");
    }

    #[test]
    fn a_thousand_generated_dotenv_files_go_both_ways() {
        a_thousand_go_both_ways(Format::Dotenv, 1);
    }

    #[test]
    fn a_thousand_generated_ini_files_go_both_ways() {
        // sops loses quotes around values, and backslashes at their end.
        a_thousand_go_both_ways(Format::Ini, GENERATED / 5);
    }
}
