//! PGP keys, with real gpg and real sops.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use crate::cli::{Desk, SAMPLE};
use crate::support::peers;

/// A desk whose `gnupg` folder is a key ring with one key without passphrase.
struct GpgDesk {
    desk: Desk,
    fingerprint: String,
}

impl GpgDesk {
    fn new() -> Self {
        let desk = Desk::new();
        fs::remove_file(desk.path(".sops.yaml")).unwrap();
        fs::remove_file(desk.path("home/key.txt")).unwrap();
        fs::create_dir(desk.path("gnupg")).unwrap();
        fs::set_permissions(desk.path("gnupg"), fs::Permissions::from_mode(0o700)).unwrap();
        let mut desk = Self { desk, fingerprint: String::new() };
        desk.fingerprint = desk.new_key("ship@example.org");
        desk
    }

    fn new_key(&self, name: &str) -> String {
        self.gpg(&["--batch", "--passphrase", "", "--quick-gen-key", name, "rsa2048", "default", "never"]);
        let [key] = &self.fingerprints_of(name)[..] else { panic!("a subkey too early") };
        self.gpg(&["--batch", "--passphrase", "", "--quick-add-key", key, "rsa2048", "encr"]);
        key.clone()
    }

    /// The fingerprints of a key and its subkeys.
    fn fingerprints_of(&self, name: &str) -> Vec<String> {
        let listed = self.gpg(&["--with-colons", "--list-keys", name]);
        let lines = listed.lines().filter(|line| line.starts_with("fpr:"));
        lines.map(|line| line.split(':').nth(9).unwrap().to_owned()).collect()
    }

    fn gpg(&self, words: &[&str]) -> String {
        let output = self.with_keys(Command::new("gpg").args(words));
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn with_keys(&self, command: &mut Command) -> Output {
        let command = command.current_dir(self.desk.path("")).env("GNUPGHOME", self.desk.path("gnupg"));
        command.env("HOME", self.desk.path("home")).output().unwrap()
    }

    fn orlop(&self, words: &[&str]) -> Output {
        self.with_keys(&mut self.desk.orlop(words.iter().copied()))
    }

    fn sops(&self, words: &[&str]) -> Output {
        self.with_keys(Command::new(peers().join("sops")).args(words))
    }
}

impl Drop for GpgDesk {
    fn drop(&mut self) {
        let mut command = Command::new("gpgconf");
        self.with_keys(command.args(["--kill", "all"]));
    }
}

#[track_caller]
fn ok(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_is_sealed_for_a_pgp_key_opens_in_sops_and_the_other_way_round() {
    let gpg = GpgDesk::new();
    for file in ["ours.yaml", "theirs.yaml"] {
        gpg.desk.file(file, SAMPLE);
    }
    ok(gpg.orlop(&["encrypt", "--pgp", &gpg.fingerprint, "-i", "ours.yaml"]));
    ok(gpg.sops(&["encrypt", "--pgp", &gpg.fingerprint, "-i", "theirs.yaml"]));
    let metadata = gpg.desk.text("ours.yaml");
    assert!(metadata.contains("-----BEGIN PGP MESSAGE-----"), "{metadata}");
    for file in ["ours.yaml", "theirs.yaml"] {
        let theirs = ok(gpg.sops(&["decrypt", file]));
        let ours = ok(gpg.orlop(&["decrypt", file]));
        assert!(theirs.contains("deep: canary-deep") && ours.contains("deep: canary-deep"));
        ok(gpg.orlop(&["rotate", "-i", file]));
        assert_eq!(ok(gpg.sops(&["decrypt", file])), theirs, "after a new data key");
    }
    // A subkey that is forced, and several keys.
    let other = gpg.new_key("harbour@example.org");
    let forced = format!("{}!", gpg.fingerprints_of("ship@example.org")[1]);
    gpg.desk.file("two.yaml", SAMPLE);
    ok(gpg.orlop(&["encrypt", "--pgp", &format!("{other},{forced}"), "-i", "two.yaml"]));
    assert_eq!(ok(gpg.orlop(&["decrypt", "two.yaml"])), SAMPLE);
    gpg.gpg(&["--batch", "--yes", "--delete-secret-keys", &other]);
    assert_eq!(ok(gpg.orlop(&["decrypt", "two.yaml"])), SAMPLE, "the other key's secret half is gone");
    gpg.gpg(&["--batch", "--yes", "--delete-secret-keys", &gpg.fingerprint]);
    let refused = gpg.orlop(&["decrypt", "two.yaml"]);
    assert_eq!(refused.status.code(), Some(128));
    assert!(String::from_utf8_lossy(&refused.stderr).contains(&other));
}

#[test]
fn a_key_that_gpg_does_not_have_or_no_gpg_at_all_is_said_to_be_so() {
    let gpg = GpgDesk::new();
    gpg.desk.file("a.yaml", SAMPLE);
    let refused = gpg.orlop(&["encrypt", "--pgp", "85D77543B3D624B63CEA9E6DBC17301B491B3F21", "a.yaml"]);
    assert_eq!(refused.status.code(), Some(1));
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(
        message.contains("85D77543B3D624B63CEA9E6DBC17301B491B3F21") && message.contains("No public key"),
        "{message}"
    );

    ok(gpg.orlop(&["encrypt", "--pgp", &gpg.fingerprint, "-i", "a.yaml"]));
    let mut command = gpg.desk.orlop(["decrypt", "a.yaml"]);
    let refused = gpg.with_keys(command.env("SOPS_GPG_EXEC", "no-such-gpg"));
    assert_eq!(refused.status.code(), Some(128));
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(message.contains("no-such-gpg is not installed"), "{message}");
    assert_eq!(fs::read_dir(gpg.desk.path("tmp")).unwrap().count(), 0);
}
