//! `orlop helm` with the real Helm 3 and Helm 4, a real API server, and nothing but memory in between.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use age::secrecy::ExposeSecret as _;
use tempfile::TempDir;

use crate::kube::{Cluster, peer};

/// Parts of the sample chart's secrets: what may be nowhere but in memory.
const CANARIES: [&str; 3] = ["canary-mail-7Qx2", "canary-session-4tWnBxw8xVbq0dJ3", "canary-database-p4ss"];

/// The values files of the sample chart, as `-f` wants them.
const VALUES: [&str; 3] =
    ["harbour/secrets.yaml", "harbour/values.staging.yaml", "harbour/secrets.staging.yaml"];

/// A user's machine: a home with an age key, the sample chart with sealed values, and one helm on PATH.
struct Stage {
    folder: TempDir,
    recipient: String,
}

impl Stage {
    fn with(helm: &str) -> Self {
        let stage = Self::unsealed(helm);
        for file in ["secrets.yaml", "secrets.staging.yaml"] {
            stage.seal(&format!("harbour/{file}"));
        }
        stage
    }

    fn unsealed(helm: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["home", "tmp", "bin"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let identity = age::x25519::Identity::generate();
        fs::write(folder.path().join("home/age.txt"), identity.to_string().expose_secret()).unwrap();
        // Also keeps out a `.sops.yaml` that somebody left further up.
        let rules = format!("creation_rules:\n  - age: {}\n", identity.to_public());
        fs::write(folder.path().join(".sops.yaml"), rules).unwrap();
        symlink(peer(helm), folder.path().join("bin/helm")).unwrap();
        copy_folder(&testdata("charts/harbour"), &folder.path().join("harbour"));
        Self { folder, recipient: identity.to_public().to_string() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn seal(&self, file: &str) {
        let output = self.orlop(["encrypt", "--age", &self.recipient, "-i", file]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let sealed = fs::read_to_string(self.path(file)).unwrap();
        assert!(CANARIES.iter().all(|canary| !sealed.contains(canary)), "{file} was not sealed");
    }

    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env_clear()
            .env(
                "PATH",
                std::env::join_paths([&self.path("bin"), Path::new("/usr/bin"), Path::new("/bin")]).unwrap(),
            )
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env("SOPS_AGE_KEY_FILE", self.path("home/age.txt"))
            .stdin(Stdio::null());
        command
    }

    fn orlop<'word>(&self, words: impl IntoIterator<Item = &'word str>) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_orlop"));
        command.args(words);
        command
    }

    /// `orlop helm WORDS` with all three values files, in different spellings.
    fn orlop_helm<'word>(&self, words: impl IntoIterator<Item = &'word str>) -> Command {
        let mut command = self.orlop(["helm"]);
        command.args(words).arg("-f").arg(VALUES[..2].join(",")).arg(format!("--values={}", VALUES[2]));
        command
    }

    /// Everything in the folders that a careless tool would write to.
    fn traces(&self) -> BTreeMap<PathBuf, (u64, i64, i64)> {
        let mut traces = BTreeMap::new();
        for folder in [self.path("home"), self.path("tmp"), self.path("harbour")] {
            list_folder(&folder, &mut traces);
        }
        traces
    }
}

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Size and time of the last change of everything below `folder`, itself included.
fn list_folder(folder: &Path, traces: &mut BTreeMap<PathBuf, (u64, i64, i64)>) {
    let metadata = fs::symlink_metadata(folder).unwrap();
    traces.insert(folder.to_owned(), (metadata.len(), metadata.mtime(), metadata.mtime_nsec()));
    if metadata.is_dir() {
        for entry in fs::read_dir(folder).unwrap() {
            list_folder(&entry.unwrap().path(), traces);
        }
    }
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The data of the Secret that the sample chart makes of its sealed values.
fn expected_secret() -> BTreeMap<String, String> {
    let password = "canary-database-p4ss: 'quoted' & #hash";
    let session = "-----BEGIN HARBOUR KEY-----\ncanary-session-4tWnBxw8xVbq0dJ3\nTVXz2kR9pLh5sYcE1uGaQf==\n-----END HARBOUR KEY-----\n";
    let url = "postgres://bookings_rw:canary-database-p4ss%3A+%27quoted%27+%26+%23hash@db.staging.svc.cluster.local:6432/bookings";
    [
        ("DATABASE_PASSWORD", password),
        ("DATABASE_URL", url),
        ("MAIL_API_TOKEN", "SG.canary-mail-7Qx2.ZmFyb2VzLWlzbGFuZHM"),
        ("SESSION_SIGNING_KEY", session),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

#[test]
fn upgrade_install_brings_the_plaintext_into_the_cluster_with_helm_3_and_helm_4() {
    let cluster = Cluster::start();
    for helm in ["helm3", "helm4"] {
        let stage = Stage::with(helm);
        let release = format!("{helm}-release");
        for revision in ["1", "2"] {
            let output = stage
                .orlop_helm(["upgrade", "--install", &release, "./harbour"])
                .env("KUBECONFIG", cluster.kubeconfig())
                .output()
                .unwrap();
            assert!(text(&output).contains(&format!("REVISION: {revision}")), "{output:?}");
        }
        assert_eq!(cluster.secret("default", &format!("{release}-credentials")), expected_secret());
    }
}

#[test]
fn template_renders_sealed_files_as_helm_renders_the_plain_ones() {
    for helm in ["helm3", "helm4"] {
        let plain = Stage::unsealed(helm);
        let mut command = plain.command(peer(helm));
        command.args(["template", "r", "./harbour"]).args(VALUES.iter().flat_map(|file| ["-f", file]));
        let expected = text(&command.output().unwrap());
        assert!(CANARIES.iter().all(|canary| expected.contains(canary)));

        let sealed = Stage::with(helm);
        assert_eq!(text(&sealed.orlop_helm(["template", "r", "./harbour"]).output().unwrap()), expected);
    }
}

#[test]
fn every_spelling_of_the_values_flag_reaches_the_real_helm_as_plaintext() {
    let spellings: [&[&str]; 9] = [
        &["-f", "harbour/secrets.yaml"],
        &["-fharbour/secrets.yaml"],
        &["-f=harbour/secrets.yaml"],
        &["--values", "harbour/secrets.yaml"],
        &["--values=harbour/secrets.yaml"],
        &["-f", "\"harbour/secrets.yaml\",harbour/values.staging.yaml"],
        &["-f", "harbour/a,b.yaml"],
        &["-gf", "harbour/secrets.yaml"],
        &["-f", "harbour/secrets.yaml", "-f", "harbour/secrets.yaml"],
    ];
    for helm in ["helm3", "helm4"] {
        let stage = Stage::with(helm);
        fs::copy(stage.path("harbour/secrets.yaml"), stage.path("harbour/a,b.yaml")).unwrap();
        for spelling in spellings {
            let mut words = spelling.to_vec();
            if spelling == ["-f", "harbour/a,b.yaml"] {
                words[1] = "\"harbour/a,b.yaml\"";
            }
            let output = stage.orlop(["helm", "template", "-g", "./harbour"]).args(&words).output().unwrap();
            assert!(text(&output).contains("MAIL_API_TOKEN: \"SG.canary-mail-7Qx2"), "{words:?}");
        }
        let output = stage
            .orlop(["helm", "template", "r", "./harbour", "--set-file", "mail.apiToken=harbour/secrets.yaml"])
            .output()
            .unwrap();
        assert!(text(&output).contains("canary-mail-7Qx2"));
    }
}

#[test]
fn lint_accepts_sealed_files() {
    for helm in ["helm3", "helm4"] {
        let output = Stage::with(helm).orlop_helm(["lint", "./harbour"]).output().unwrap();
        assert!(text(&output).contains("0 chart(s) failed"), "{output:?}");
    }
}

#[test]
fn plaintext_reaches_a_helm_below_a_plugin_below_helm() {
    for helm in ["helm3", "helm4"] {
        let stage = Stage::with(helm);
        let direct = stage.orlop_helm(["template", "r", "./harbour"]).output().unwrap();
        let relayed = stage
            .orlop_helm(["diff", "upgrade", "r", "./harbour"])
            .env("HELM_PLUGINS", testdata("plugins"))
            .output()
            .unwrap();
        assert_eq!(text(&relayed), text(&direct));
        assert!(CANARIES.iter().all(|canary| text(&relayed).contains(canary)));
    }
}

#[test]
fn a_file_that_cannot_be_decrypted_stops_the_run_before_helm_starts() {
    let stage = Stage::with("helm3");
    let stranger = age::x25519::Identity::generate();
    fs::write(stage.path("home/age.txt"), stranger.to_string().expose_secret()).unwrap();
    let output = stage
        .orlop_helm(["lint", "./harbour"])
        .env("HELM_SECRETS_HELM_PATH", testdata("bin/helm"))
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "", "helm was started");
    assert!(String::from_utf8(output.stderr).unwrap().contains("secrets.yaml"));
}

#[test]
fn helm_exits_with_its_own_status_through_orlop() {
    let stage = Stage::with("helm4");
    let output = stage
        .orlop_helm(["lint", "./harbour"])
        .env("HELM_SECRETS_HELM_PATH", testdata("bin/helm"))
        .env("FAKE_HELM_EXIT", "42")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(42));
}

#[test]
fn a_thousand_api_versions_add_less_than_ten_milliseconds() {
    let stage = Stage::with("helm3");
    let words: Vec<String> = (0..1000)
        .flat_map(|number| ["--api-versions".to_owned(), format!("example.org/v1/Kind{number}")])
        .collect();
    let median = |words: &[String]| {
        let mut times: Vec<Duration> = (0..21)
            .map(|_| {
                let mut command = stage.orlop(["helm", "template", "r", "./harbour"]);
                command.args(words).env("HELM_SECRETS_HELM_PATH", "/bin/true");
                let start = Instant::now();
                assert!(command.status().unwrap().success());
                start.elapsed()
            })
            .collect();
        times.sort();
        times[times.len() / 2]
    };
    let (without, with) = (median(&[]), median(&words));
    assert!(with.saturating_sub(without) < Duration::from_millis(10), "{without:?} without, {with:?} with");
}

#[test]
fn core_dumps_are_off_in_helm() {
    let stage = Stage::with("helm3");
    let output = stage
        .command("sh")
        // Many systems start with a limit of 0 that a program may raise; then there would be nothing to see.
        .args(["-c", "ulimit -S -c unlimited && exec \"$@\"", "sh", env!("CARGO_BIN_EXE_orlop")])
        .args(["helm", "lint", "./harbour", "-f", VALUES[0]])
        .env("HELM_SECRETS_HELM_PATH", testdata("bin/helm"))
        .output()
        .unwrap();
    assert!(text(&output).lines().any(|line| line == "core 0"), "{output:?}");
}

#[test]
fn logging_at_its_loudest_shows_no_secret() {
    let cluster = Cluster::start();
    for helm in ["helm3", "helm4"] {
        let stage = Stage::with(helm);
        let commands: [&[&str]; 2] = [&["lint", "./harbour"], &["upgrade", "--install", helm, "./harbour"]];
        for words in commands {
            let output = stage
                .orlop_helm(words.iter().copied())
                .env("KUBECONFIG", cluster.kubeconfig())
                .env("RUST_LOG", "trace")
                .env("RUST_BACKTRACE", "full")
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
            let shown = [output.stdout, output.stderr].concat();
            let shown = String::from_utf8_lossy(&shown);
            assert!(CANARIES.iter().all(|canary| !shown.contains(canary)), "{shown}");
        }
    }
}

#[test]
fn an_upgrade_writes_plaintext_to_memory_and_to_nothing_else() {
    let cluster = Cluster::start();
    for helm in ["helm3", "helm4"] {
        let stage = Stage::with(helm);
        let log = stage.path("strace.log");
        let mut command = stage.command("strace");
        command
            // -v and -s: whole environments and buffers; -yy: what a descriptor is.
            .args(["-f", "-v", "-yy", "-s", "1000000", "-e"])
            .arg("trace=execve,execveat,openat,openat2,open,creat,write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,sendfile,splice,copy_file_range")
            .arg("-o")
            .arg(&log)
            .arg(env!("CARGO_BIN_EXE_orlop"))
            .args(["helm", "upgrade", "--install", helm, "./harbour"])
            .args(VALUES.iter().flat_map(|file| ["-f", file]))
            .env("KUBECONFIG", cluster.kubeconfig());
        text(&command.output().expect("strace is installed"));
        assert_eq!(cluster.secret("default", &format!("{helm}-credentials")), expected_secret());

        let log = fs::read_to_string(&log).unwrap();
        let with_canary: Vec<&str> =
            log.lines().filter(|line| CANARIES.iter().any(|canary| line.contains(canary))).collect();
        // The canaries are seen where they belong, so the search can find them.
        for canary in CANARIES {
            let into_memory = |line: &&str| {
                line.contains("write(") && line.contains("</memfd:orlop") && line.contains(canary)
            };
            assert!(with_canary.iter().any(into_memory), "{canary} went through no memfd");
        }
        for line in with_canary {
            let descriptor = line.split_once("write(").and_then(|(_, rest)| rest.split_once('>'));
            let into_memory = descriptor.is_some_and(|(target, _)| target.contains("</memfd:orlop"));
            assert!(into_memory, "plaintext in {}", line.chars().take(200).collect::<String>());
        }
        let written = files_opened_for_writing(&log, stage.folder.path());
        for file in &written {
            let Ok(content) = fs::read(file) else { continue };
            let content = String::from_utf8_lossy(&content);
            assert!(
                CANARIES.iter().all(|canary| !content.contains(canary)),
                "plaintext in {}",
                file.display()
            );
        }
    }
}

/// Regular files that a process of the strace log could have written to, by whatever system call.
fn files_opened_for_writing(log: &str, folder: &Path) -> BTreeSet<PathBuf> {
    log.lines()
        .filter(|line| line.contains("open") || line.contains("creat("))
        .filter(|line| ["O_WRONLY", "O_RDWR", "O_CREAT", "creat("].iter().any(|flag| line.contains(flag)))
        .filter_map(|line| Some(folder.join(line.split('"').nth(1)?)))
        .filter(|file| fs::metadata(file).is_ok_and(|metadata| metadata.is_file()))
        .collect()
}

#[test]
fn nothing_is_left_behind_after_200_kills_at_random_moments() {
    let stage = Stage::with("helm3");
    let run = || {
        let mut command = stage.orlop_helm(["template", "r", "./harbour"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    // Helm writes what it caches in the first run.
    let start = Instant::now();
    assert!(run().status().unwrap().success());
    let whole_run = start.elapsed().max(Duration::from_millis(20));
    let shared_memory = || -> BTreeSet<PathBuf> {
        fs::read_dir("/dev/shm").unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    let before = (stage.traces(), shared_memory());
    let mut killed = 0;
    // A fixed sequence that looks random, so that a failure can be repeated.
    let mut random: u64 = 0x0123_4567_89ab_cdef;
    for round in 0..200 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let share = f64::from((random >> 40) as u32) / f64::from(1u32 << 24);
        let mut child = run().spawn().unwrap();
        sleep(whole_run.mul_f64(share));
        child.kill().unwrap();
        killed += usize::from(child.wait().unwrap().code().is_none());
        assert_eq!((stage.traces(), shared_memory()), before, "after round {round}");
    }
    assert!(killed >= 100, "only {killed} of 200 runs were still going when killed");
}
