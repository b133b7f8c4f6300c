//! Times orlop beside real sops and real helm, as whole processes, in one run on one machine.
//!
//! `make bench` installs the peers and runs this with `ORLOP` naming the program built as it is released (profile
//! `dist` with dist.toml; this driver itself is not, for linked for good it would copy itself for each run). It prints
//! one row a task and fails when a target is missed. The programs take turns, so that whatever else the machine does
//! falls on both alike.

use std::error::Error;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use age::secrecy::ExposeSecret;

/// Runs that count, after two that warm the page cache.
const ROUNDS: usize = 20;
const WARM_UPS: usize = 2;

/// Runs that count where each takes seconds.
const LARGE_ROUNDS: usize = 5;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match compare() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("compare: error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs every comparison; `false` when a target is missed.
fn compare() -> Result<bool> {
    let bench = Bench::set_up()?;
    let mut table = Table::default();

    let small = bench.seal("small.yaml", &one_value())?;
    let (orlop, sops) =
        bench.alternate(&bench.decrypt(&bench.orlop, &small), &bench.decrypt(&bench.sops, &small))?;
    table.row(
        &format!("decrypt {}, 1 value, 3 recipients", size(&small)?),
        [milliseconds(median(&orlop)), milliseconds(median(&sops))],
        Target::Share { of: ratio(&orlop, &sops), at_most: 10.0 },
    );

    let large = bench.seal("large.yaml", &many_values())?;
    let decrypting = [bench.decrypt(&bench.orlop, &large), bench.decrypt(&bench.sops, &large)];
    let (orlop, sops) = bench.alternate(&decrypting[0], &decrypting[1])?;
    let task = format!("decrypt {}, {} values", size(&large)?, GROUPS * VALUES_A_GROUP);
    table.row(
        &task,
        [milliseconds(median(&orlop)), milliseconds(median(&sops))],
        Target::Share { of: ratio(&orlop, &sops), at_most: 30.0 },
    );

    let peaks = [peak_memory(&decrypting[0])?, peak_memory(&decrypting[1])?];
    table.row(
        &format!("{task}: peak memory"),
        peaks.map(|kilobytes| format!("{:.1} MB", kilobytes as f64 / 1000.0)),
        Target::Share { of: peaks[0] as f64 / peaks[1] as f64, at_most: 3.0 },
    );

    let (wrapped, plain) = bench.helm_template()?;
    let (orlop, helm) = bench.alternate(&wrapped, &plain)?;
    let mut added: Vec<f64> = orlop
        .iter()
        .zip(&helm)
        .map(|(orlop, helm)| (orlop.as_secs_f64() - helm.as_secs_f64()) * 1e3)
        .collect();
    added.sort_by(f64::total_cmp);
    table.row(
        "helm template, 5 encrypted files; 5 plain ones",
        [milliseconds(median(&orlop)), milliseconds(median(&helm))],
        Target::Added { milliseconds: added[added.len() / 2], at_most: 10.0 },
    );

    bench.compare_json(&mut table)?;
    bench.compare_bytes(&mut table)?;

    print!("{}", table.text);
    Ok(!table.missed)
}

/// The folder, the programs and the key that every comparison shares.
struct Bench {
    folder: tempfile::TempDir,
    orlop: PathBuf,
    sops: PathBuf,
    /// A `PATH` on which `helm` is the peer.
    path: OsString,
}

impl Bench {
    fn set_up() -> Result<Bench> {
        let folder = tempfile::tempdir()?;
        let peers = peers()?;
        let programs = folder.path().join("bin");
        fs::create_dir(&programs)?;
        symlink(peers.join("helm3"), programs.join("helm"))?;

        // Only the last of the three recipients has its identity here, so both programs look at all three stanzas.
        let identities: Vec<_> = (0..3).map(|_| age::x25519::Identity::generate()).collect();
        fs::write(folder.path().join("keys.txt"), identities[2].to_string().expose_secret())?;
        let recipients: Vec<_> = identities.iter().map(|identity| identity.to_public().to_string()).collect();
        // Both programs look for a configuration upwards: without one here, a stray one above would decide.
        let rule = format!("creation_rules:\n  - age: {}\n", recipients.join(","));
        fs::write(folder.path().join(".sops.yaml"), rule)?;

        Ok(Bench {
            orlop: std::env::var_os("ORLOP").unwrap_or_else(|| env!("CARGO_BIN_EXE_orlop").into()).into(),
            sops: peers.join("sops"),
            path: std::env::join_paths([programs, "/usr/bin".into(), "/bin".into()])?,
            folder,
        })
    }

    /// A command in an environment that holds nothing but what both programs need.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", self.folder.path())
            .env("SOPS_AGE_KEY_FILE", self.folder.path().join("keys.txt"))
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stderr(Stdio::inherit());
        command
    }

    /// Writes a file that real sops encrypted.
    fn seal(&self, name: &str, plain: &str) -> Result<PathBuf> {
        let path = self.folder.path().join(name);
        fs::write(&path, plain)?;
        let status = self.command(&self.sops).args(["encrypt", "-i"]).arg(&path).status()?;
        let sealed = fs::read_to_string(&path)?.matches("ENC[").count() > plain.matches(": ").count();
        if status.success() && sealed {
            Ok(path)
        } else {
            Err(format!("sops encrypt {name}: {status}").into())
        }
    }

    fn decrypt(&self, program: &Path, file: &Path) -> impl Fn() -> Command {
        move || {
            let mut command = self.command(program);
            command.arg("decrypt").arg(file);
            command
        }
    }

    fn encrypt(&self, program: &Path, file: &Path) -> impl Fn() -> Command {
        move || {
            let mut command = self.command(program);
            command.arg("encrypt").arg(file);
            command
        }
    }

    /// A large JSON file, both ways.
    fn compare_json(&self, table: &mut Table) -> Result<()> {
        let plain = self.folder.path().join("plain.json");
        fs::write(&plain, many_json_values())?;
        let sealed = self.seal("large.json", &many_json_values())?;
        let encrypting = [self.encrypt(&self.orlop, &plain), self.encrypt(&self.sops, &plain)];
        let decrypting = [self.decrypt(&self.orlop, &sealed), self.decrypt(&self.sops, &sealed)];
        let tasks =
            [format!("encrypt {} of JSON", size(&plain)?), format!("decrypt {} of JSON", size(&sealed)?)];
        for (task, ours, theirs) in [
            (&tasks[0], &encrypting[0] as &dyn Fn() -> Command, &encrypting[1] as &dyn Fn() -> Command),
            (&tasks[1], &decrypting[0], &decrypting[1]),
        ] {
            let task = format!("{task}, {JSON_VALUES} values");
            let (orlop, sops) = self.alternate_for(LARGE_ROUNDS, ours, theirs)?;
            table.row(
                &task,
                [milliseconds(median(&orlop)), milliseconds(median(&sops))],
                Target::Share { of: ratio(&orlop, &sops), at_most: 20.0 },
            );
            let peaks = [peak_memory(ours)?, peak_memory(theirs)?];
            table.row(
                &format!("{task}: peak memory"),
                peaks.map(|kilobytes| format!("{:.1} MB", kilobytes as f64 / 1000.0)),
                Target::Share { of: peaks[0] as f64 / peaks[1] as f64, at_most: 3.0 },
            );
        }
        Ok(())
    }

    /// A file of 100 MB, both ways, beside sops and beside what the digest and the cipher take alone.
    fn compare_bytes(&self, table: &mut Table) -> Result<()> {
        let plain = self.folder.path().join("large.bin");
        let bytes = many_bytes();
        fs::write(&plain, &bytes)?;
        let sealed = self.folder.path().join("sealed.bin");
        fs::write(&sealed, self.encrypt(&self.sops, &plain)().output()?.stdout)?;
        let encrypting = [self.encrypt(&self.orlop, &plain), self.encrypt(&self.sops, &plain)];
        let decrypting = [self.decrypt(&self.orlop, &sealed), self.decrypt(&self.sops, &sealed)];
        for (task, ours, theirs) in [
            ("encrypt", &encrypting[0] as &dyn Fn() -> Command, &encrypting[1] as &dyn Fn() -> Command),
            ("decrypt", &decrypting[0], &decrypting[1]),
        ] {
            let task = format!("{task} a binary file of 100 MB");
            let (orlop, sops) = self.alternate_for(LARGE_ROUNDS, ours, theirs)?;
            table.row(
                &format!("{task}; sops"),
                [milliseconds(median(&orlop)), milliseconds(median(&sops))],
                Target::Share { of: ratio(&orlop, &sops), at_most: 1.0 },
            );
            let alone = slower_alone(&bytes)?;
            table.row(
                &format!("{task}; SHA-512 or AES-256-GCM alone, the slower one"),
                [milliseconds(median(&orlop)), milliseconds(alone)],
                Target::Speed { of: alone.as_secs_f64() / median(&orlop).as_secs_f64(), at_least: 0.6 },
            );
            let peak = peak_memory(ours)? as f64 * 1024.0;
            table.row(
                &format!("{task}: peak memory; the file"),
                [peak, bytes.len() as f64].map(|bytes| format!("{:.1} MB", bytes / 1e6)),
                Target::Times { of: peak / bytes.len() as f64, at_most: 3.5 },
            );
        }
        Ok(())
    }

    /// One small chart with five values files, once encrypted for orlop and once plain for helm alone.
    fn helm_template(&self) -> Result<(impl Fn() -> Command, impl Fn() -> Command)> {
        let chart = self.folder.path().join("chart");
        fs::create_dir_all(chart.join("templates"))?;
        fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: bench\nversion: 1.0.0\n")?;
        fs::write(
            chart.join("templates/secret.yaml"),
            "apiVersion: v1\nkind: Secret\nmetadata:\n  name: bench\nstringData:\n  all: {{ .Values | toJson | quote }}\n",
        )?;

        let (mut sealed, mut plain) = (Vec::new(), Vec::new());
        for number in 0..5 {
            let text = format!("group{number}:\n  password: \"{}\"\n  port: {number}\n", secret(number));
            let path = self.folder.path().join(format!("plain{number}.yaml"));
            fs::write(&path, &text)?;
            plain.extend([OsString::from("-f"), path.into()]);
            sealed.extend([OsString::from("-f"), self.seal(&format!("sealed{number}.yaml"), &text)?.into()]);
        }

        let helm = self.folder.path().join("bin/helm");
        let template = [OsString::from("template"), "bench".into(), chart.into()];
        let wrapped_template = template.clone();
        let wrapped = move || {
            let mut command = self.command(&self.orlop);
            command.arg("helm").args(&wrapped_template).args(&sealed);
            command
        };
        let alone = move || {
            let mut command = self.command(&helm);
            command.args(&template).args(&plain);
            command
        };
        if wrapped().output()?.stdout != alone().output()?.stdout {
            return Err("helm renders something else through orlop than alone".into());
        }
        Ok((wrapped, alone))
    }

    /// Times two commands in turns, from spawn to exit.
    fn alternate(
        &self,
        ours: &impl Fn() -> Command,
        theirs: &impl Fn() -> Command,
    ) -> Result<(Vec<Duration>, Vec<Duration>)> {
        self.alternate_for(ROUNDS, ours, theirs)
    }

    /// As [`Bench::alternate`], for as many rounds as count.
    fn alternate_for(
        &self,
        rounds: usize,
        ours: &dyn Fn() -> Command,
        theirs: &dyn Fn() -> Command,
    ) -> Result<(Vec<Duration>, Vec<Duration>)> {
        let mut times = (Vec::new(), Vec::new());
        for round in 0..WARM_UPS + rounds {
            let pair = (time(ours())?, time(theirs())?);
            if round >= WARM_UPS {
                times.0.push(pair.0);
                times.1.push(pair.1);
            }
        }
        Ok(times)
    }
}

/// Where `tests/peers/install` puts the peers.
fn peers() -> Result<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = variable("ORLOP_PEERS")
        .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("orlop-peers")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/orlop-peers")))
        .ok_or("HOME is not set")?;
    let programs = home.join("bin");
    for peer in ["sops", "helm3"] {
        if !programs.join(peer).exists() {
            return Err(
                format!("{} is missing: run tests/peers/install", programs.join(peer).display()).into()
            );
        }
    }
    Ok(programs)
}

fn time(mut command: Command) -> Result<Duration> {
    command.stdout(Stdio::null());
    let started = Instant::now();
    let status = command.status()?;
    let elapsed = started.elapsed();
    if status.success() { Ok(elapsed) } else { Err(format!("{command:?}: {status}").into()) }
}

/// The most memory that a command which prints much ever holds, in kB; the median of five runs.
///
/// It is read when the command has begun to print and waits for a reader: both programs print only when the whole
/// file is decrypted and verified, so all that they ever hold is held then, and the kernel's mark only grows.
fn peak_memory(make: &dyn Fn() -> Command) -> Result<u64> {
    let mut peaks = Vec::new();
    for _ in 0..5 {
        let mut child = make().stdout(Stdio::piped()).spawn()?;
        peaks.push(peak_of(&mut child)?);
        child.wait()?;
    }
    peaks.sort_unstable();
    Ok(peaks[peaks.len() / 2])
}

fn peak_of(child: &mut Child) -> Result<u64> {
    let mut output = child.stdout.take().ok_or("the output is not piped")?;
    output.read_exact(&mut [0])?;
    // The pipe is full by then: the printed text is longer than any pipe's buffer.
    std::thread::sleep(Duration::from_millis(50));
    let status = fs::read_to_string(format!("/proc/{}/status", child.id()))?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok())
        .ok_or("the command ended before its memory was read")?;
    std::io::copy(&mut output, &mut std::io::sink())?;
    Ok(peak)
}

/// A value long enough that the file with its three recipients is 2.6 KB.
fn one_value() -> String {
    let words: Vec<_> = (0..16).map(secret).collect();
    format!("password: {}\n", words.join(" "))
}

const GROUPS: usize = 439;
const VALUES_A_GROUP: usize = 14;

/// 6,146 values in the shape of a large values file.
fn many_values() -> String {
    let mut text = String::new();
    for group in 0..GROUPS {
        let _ = writeln!(text, "group{group}:");
        for value in 0..VALUES_A_GROUP {
            let _ = writeln!(text, "    item{value}: {}", secret(group * VALUES_A_GROUP + value));
        }
    }
    text
}

const JSON_VALUES: usize = 100_000;

/// 10 MB of JSON.
fn many_json_values() -> String {
    let mut text = String::from("{");
    for group in 0..JSON_VALUES / 100 {
        let _ = write!(text, "{}\n  \"group{group}\":{{", if group == 0 { "" } else { "," });
        for value in 0..100 {
            let number = group * 100 + value;
            let comma = if value == 0 { "" } else { "," };
            let (one, two, three) = (secret(number), secret(number + 1), secret(number + 2));
            let _ = write!(text, "{comma}\n    \"item{value}\": \"{one}-{two}-{three}-{one}-{two}\"");
        }
        text.push_str("\n  }");
    }
    text.push_str("\n}\n");
    text
}

/// 100 MB that look like nothing.
fn many_bytes() -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut bytes = Vec::with_capacity(100_000_000);
    while bytes.len() < 100_000_000 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes
}

/// What the slower of the digest and the cipher takes for these bytes, in this process, in one pass over memory.
fn slower_alone(bytes: &[u8]) -> Result<Duration> {
    use aes_gcm::aead::consts::U32;
    use aes_gcm::aes::Aes256;
    use aes_gcm::{AeadInOut, AesGcm, KeyInit};
    use sha2::Digest;

    let cipher = AesGcm::<Aes256, U32>::new(&[7; 32].into());
    let mut copy = bytes.to_vec();
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..LARGE_ROUNDS {
        let started = Instant::now();
        std::hint::black_box(sha2::Sha512::digest(bytes));
        times[0].push(started.elapsed());
        let started = Instant::now();
        let sealed = cipher.encrypt_inout_detached(&[1; 32].into(), b"data:", copy.as_mut_slice().into());
        times[1].push(started.elapsed());
        sealed.map_err(|_| "the cipher refuses the bytes")?;
    }
    Ok(median(&times[0]).max(median(&times[1])))
}

/// The same fifteen letters and digits in every run: what they cost must not change between two.
fn secret(number: usize) -> String {
    let mixed = (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    format!("x{:014x}", mixed >> 8)
}

fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

fn ratio(ours: &[Duration], theirs: &[Duration]) -> f64 {
    median(ours).as_secs_f64() / median(theirs).as_secs_f64()
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn size(path: &Path) -> Result<String> {
    Ok(format!("{:.1} KB", fs::metadata(path)?.len() as f64 / 1000.0))
}

/// What is promised, beside what was measured.
enum Target {
    /// orlop takes no more than one part in `at_most` of what the peer takes.
    Share { of: f64, at_most: f64 },
    /// orlop takes no more than so much longer than the peer.
    Added { milliseconds: f64, at_most: f64 },
    /// orlop is at least so fast, as a part of the other's speed.
    Speed { of: f64, at_least: f64 },
    /// orlop takes no more than so many times what stands beside it.
    Times { of: f64, at_most: f64 },
}

impl Target {
    fn is_met(&self) -> bool {
        match *self {
            Target::Share { of, at_most } => of <= 1.0 / at_most,
            Target::Added { milliseconds, at_most } => milliseconds <= at_most,
            Target::Speed { of, at_least } => of >= at_least,
            Target::Times { of, at_most } => of <= at_most,
        }
    }

    fn columns(&self) -> [String; 2] {
        match self {
            Target::Share { of, at_most } => [format!("1/{:.1}", 1.0 / of), format!("<= 1/{at_most}")],
            Target::Added { milliseconds, at_most } => {
                [format!("{milliseconds:+.1} ms"), format!("<= {at_most} ms")]
            }
            Target::Speed { of, at_least } => {
                [format!("{:.0} %", of * 100.0), format!(">= {:.0} %", at_least * 100.0)]
            }
            Target::Times { of, at_most } => [format!("x {of:.2}"), format!("<= x {at_most}")],
        }
    }
}

struct Table {
    text: String,
    missed: bool,
}

impl Default for Table {
    fn default() -> Self {
        let head = ["task", "orlop (profile dist)", "peer", "measured", "target"];
        let line = ["---", "--:", "--:", "--:", "---"];
        Table { text: format!("| {} |\n|{}|\n", head.join(" | "), line.join("|")), missed: false }
    }
}

impl Table {
    fn row(&mut self, task: &str, [orlop, peer]: [String; 2], target: Target) {
        let [measured, bound] = target.columns();
        let verdict = if target.is_met() { "met" } else { "MISSED" };
        let _ = writeln!(self.text, "| {task} | {orlop} | {peer} | {measured} | {bound}: {verdict} |");
        self.missed |= !target.is_met();
        // A row at a time on the terminal, for the whole takes a minute; the table comes at the end.
        let _ = writeln!(std::io::stderr(), "measured: {task}");
    }
}
