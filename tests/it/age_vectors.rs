//! The test vectors of the age format (C2SP CCTV), through the way that wrapped data keys take.

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::sync::Arc;

use age::armor::{ArmoredWriter, Format};
use orlop::prompts::{PassphraseRequest, PromptError, Prompts};
use orlop::provider::age::Recipient;
use orlop::provider::{ProviderError, SourceOutcome, WrapKey as _, WrappedKey};
use orlop::{Env, SecretText, Session};

use crate::support::peers;

/// What is taken here and refused by age's reference, each for a reason.
const TOLERATED: &[(&str, &str)] = &[
    ("armor_cr_between_padding", CARRIAGE_RETURNS),
    ("armor_cr_in_body", CARRIAGE_RETURNS),
    ("armor_cr_line_start", CARRIAGE_RETURNS),
    ("armor_double_crlf", CARRIAGE_RETURNS),
    ("stanza_missing_body", FIRST_DRAFTS),
    ("stanza_missing_final_line", FIRST_DRAFTS),
];
const CARRIAGE_RETURNS: &str =
    "a file that went through Windows keeps its armor readable: returns are dropped first";
const FIRST_DRAFTS: &str =
    "the age crate reads the stanzas of the format's first drafts too; their MAC holds all the same";

struct Vector {
    fields: HashMap<String, String>,
    identities: String,
    body: Vec<u8>,
}

impl Vector {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(2).position(|two| two == b"\n\n").unwrap();
        let header = std::str::from_utf8(&bytes[..end]).unwrap();
        let (mut fields, mut identities) = (HashMap::new(), String::new());
        for line in header.lines() {
            let (name, value) = line.split_once(": ").unwrap();
            if name == "identity" {
                identities += &format!("{value}\n");
            }
            fields.insert(name.to_owned(), value.to_owned());
        }
        Self { fields, identities, body: bytes[end + 2..].to_vec() }
    }

    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    fn armored(&self) -> Option<String> {
        if self.field("armored") == "yes" {
            return String::from_utf8(self.body.clone()).ok();
        }
        let mut armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor).unwrap();
        armor.write_all(&self.body).unwrap();
        String::from_utf8(armor.finish().unwrap()).ok()
    }
}

fn vectors() -> Vec<(String, Vector)> {
    let folder = peers().parent().unwrap().join("age-vectors");
    let entries = fs::read_dir(&folder).unwrap_or_else(|_| panic!("{folder:?}: run tests/peers/install"));
    let mut vectors: Vec<(String, Vector)> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, Vector::parse(&fs::read(&path).unwrap()))
        })
        .collect();
    vectors.sort_by(|one, other| one.0.cmp(&other.0));
    assert!(vectors.len() > 140);
    vectors
}

fn hash(bytes: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn files_for_keys_open_or_fail_as_the_vectors_say() {
    let (mut checked, mut wrong) = (0, Vec::new());
    for (name, vector) in vectors() {
        // Long files are no wrapped keys; they are cut, and the rest is not looked at.
        let is_short = vector.body.len() < 4000 && vector.field("compressed").is_empty();
        if vector.fields.contains_key("passphrase") || !is_short {
            continue;
        }
        let Some(text) = vector.armored() else { continue };
        let session = Session::new(Env::from_iter([("SOPS_AGE_KEY", vector.identities.as_str())]));
        let result = Recipient::of_file("age1x").unwrap(&WrappedKey::new(text), &session);
        let tolerated = TOLERATED.iter().any(|(tolerated, _)| *tolerated == name);
        let is_fine = match (vector.field("expect"), &result) {
            ("success", Ok(Some(part))) => hash(part.expose()) == vector.field("payload"),
            ("no match", Ok(None)) => true,
            ("armor failure" | "header failure", Ok(Some(_))) => tolerated,
            ("armor failure" | "header failure" | "HMAC failure" | "payload failure", Err(error)) => {
                !tolerated && matches!(error, ProviderError::Damaged { .. })
            }
            _ => false,
        };
        if !is_fine {
            let got = result.map(|part| part.map(|part| part.expose().len()));
            wrong.push(format!("{name}: {} but {got:?}", vector.field("expect")));
        }
        checked += 1;
    }
    assert!(wrong.is_empty(), "{} of {checked}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(checked > 90, "only {checked} vectors");
}

/// Knows one passphrase.
struct Knows(String);

impl Prompts for Knows {
    fn show(&self, _message: &str) {}

    fn confirm(&self, _: &str, _: &str, _: Option<&str>) -> Result<bool, PromptError> {
        Err(PromptError::Nobody)
    }

    fn ask(&self, _question: &str) -> Result<String, PromptError> {
        Err(PromptError::Nobody)
    }

    fn ask_passphrase(&self, _request: &PassphraseRequest<'_>) -> Result<SecretText, PromptError> {
        Ok(SecretText::copy_of(self.0.as_bytes()))
    }
}

#[test]
fn files_with_a_passphrase_open_or_fail_as_the_vectors_say() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let key = age::x25519::Identity::generate().to_public().to_string();
    let recipient = Recipient::parse(&key).unwrap();
    let wrapped =
        recipient.wrap(&orlop::KeyPart::from_bytes(vec![7; 32]), &Session::new(Env::default())).unwrap();
    let (mut checked, mut wrong) = (0, Vec::new());
    for (name, vector) in vectors() {
        if !vector.fields.contains_key("passphrase") {
            continue;
        }
        fs::write(&path, &vector.body).unwrap();
        let session = Session::new(Env::from_iter([("SOPS_AGE_KEY_FILE", &path)]))
            .with_prompts(Arc::new(Knows(vector.field("passphrase").to_owned())));
        assert!(recipient.unwrap(&wrapped, &session).is_err());
        let sources = session.sources();
        let outcome = &sources.iter().find(|source| source.place == "SOPS_AGE_KEY_FILE").unwrap().outcome;
        let SourceOutcome::Rejected { reason } = outcome else { panic!("{name}: {outcome:?}") };
        // The vectors hold no identities, so a file that opens is refused for what is in it.
        let is_opened = reason == "line 1 is not an age identity" || reason == "it is not UTF-8";
        let is_fine = match vector.field("expect") {
            "success" => is_opened,
            "no match" => {
                reason == "the passphrase is wrong" || reason == "it is encrypted, but not with a passphrase"
            }
            _ => !is_opened,
        };
        if !is_fine {
            wrong.push(format!("{name}: {} but {reason}", vector.field("expect")));
        }
        checked += 1;
    }
    assert!(wrong.is_empty(), "{} of {checked}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(checked > 20, "only {checked} vectors");
}
