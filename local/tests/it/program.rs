//! The program as whoever starts and ends it sees it.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::http;

const PATIENCE: Duration = Duration::from_mins(3);
/// Room for a busy machine: what does not end by the signal never does.
const TO_END: Duration = Duration::from_secs(30);
const FREE_PORTS: [&str; 3] = ["--listen=:0", "--dynamodb=:0", "--athena=:0"];

/// The program, in a temporary folder of its own.
struct Program {
    process: Child,
    folder: TempDir,
}

impl Program {
    fn command(folder: &TempDir) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_local-stack"));
        for variable in ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_ATHENA", "RUST_LOG"] {
            command.env_remove(variable);
        }
        fs::create_dir_all(folder.path().join("tmp")).unwrap();
        command.env("TMPDIR", folder.path().join("tmp"));
        command
    }

    fn spawn(folder: TempDir, mut command: Command) -> Self {
        let output = |name| Stdio::from(File::create(folder.path().join(name)).unwrap());
        let process = command.stdout(output("out")).stderr(output("err")).spawn().unwrap();
        Self { process, folder }
    }

    /// With these options and variables. A folder without logs is quick to fill from.
    fn start(options: [&str; 3], variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let logs = folder.path().join("logs");
        fs::create_dir(&logs).unwrap();
        let mut command = Self::command(&folder);
        command.arg("--logs").arg(logs).args(options).envs(variables.iter().copied());
        Self::spawn(folder, command)
    }

    /// With demo traffic, below a folder where others may have run.
    fn start_demo(folder: TempDir) -> Self {
        let mut command = Self::command(&folder);
        command.args(FREE_PORTS);
        let program = Self::spawn(folder, command);
        program.wait_for("a locked folder", || program.left().iter().any(|folder| folder.join(".lock").exists()));
        program
    }

    fn wait_for(&self, what: &str, holds: impl Fn() -> bool) {
        let start = Instant::now();
        while !holds() {
            assert!(start.elapsed() < PATIENCE, "no {what}: {}{}", self.said("out"), self.said("err"));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn said(&self, stream: &str) -> String {
        fs::read_to_string(self.folder.path().join(stream)).unwrap()
    }

    fn wait_until_ready(&self) -> SocketAddr {
        self.wait_for("ready", || self.said("out").starts_with("ready") && self.said("out").contains("Look into"));
        let out = self.said("out");
        let front = out.split("http://").nth(1).unwrap().split('/').next().unwrap();
        front.parse().unwrap()
    }

    /// What there is in its temporary folder.
    fn left(&self) -> Vec<PathBuf> {
        left(self.folder.path())
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args(["-s", signal, &self.process.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// How it ended after a signal, which it must do at once.
    fn end(mut self, signal: &str) -> (ExitStatus, TempDir) {
        self.signal(signal);
        let start = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return (status, std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap()));
            }
            assert!(start.elapsed() < TO_END, "it still runs after {signal}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn left(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder.join("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn ctrl_c_a_polite_kill_and_a_closed_terminal_end_it_at_once_and_leave_no_folder() {
    for signal in ["INT", "TERM", "HUP"] {
        let (status, folder) = Program::start_demo(tempfile::tempdir().unwrap()).end(signal);
        assert!(status.success(), "{signal}: {status}");
        assert_eq!(left(folder.path()), Vec::<PathBuf>::new(), "{signal}");
    }
}

#[test]
fn what_a_killed_run_left_goes_with_the_next_start() {
    let (_, folder) = Program::start_demo(tempfile::tempdir().unwrap()).end("KILL");
    let killed = left(folder.path());
    assert_eq!(killed.len(), 1);
    let next = Program::start_demo(folder);
    next.wait_for("end of the old folder", || !killed[0].exists());
    let (_, folder) = next.end("TERM");
    assert_eq!(left(folder.path()), Vec::<PathBuf>::new());
}

#[test]
fn one_that_was_started_to_outlive_its_terminal_does() {
    let folder = tempfile::tempdir().unwrap();
    let plain = Program::command(&folder);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(plain.get_program()).args(FREE_PORTS);
    command.env("TMPDIR", folder.path().join("tmp"));
    let mut program = Program::spawn(folder, command);
    program.wait_for("a folder", || !program.left().is_empty());
    program.signal("HUP");
    std::thread::sleep(Duration::from_millis(500));
    assert!(program.process.try_wait().unwrap().is_none());
    let (status, _) = program.end("TERM");
    assert!(status.success());
}

#[test]
fn proxies_do_not_apply_to_loopback() {
    let proxy = "http://127.0.0.1:1";
    let variables = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];
    Program::start(FREE_PORTS, &variables.map(|name| (name, proxy))).wait_until_ready();
}

#[test]
fn endpoint_urls_that_are_empty_count_as_not_set() {
    let variables = ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_ATHENA", "AWS_ENDPOINT_URL"];
    Program::start(FREE_PORTS, &variables.map(|name| (name, ""))).wait_until_ready();
}

#[test]
fn host_names_and_bare_ports_are_addresses_and_one_beyond_loopback_is_warned_of() {
    let program = Program::start(["--listen=localhost:0", "--dynamodb=0.0.0.0:0", "--athena=:0"], &[]);
    assert_eq!(program.wait_until_ready().ip().to_string(), "127.0.0.1");
    let said = program.said("err");
    assert_eq!(said.matches("warning").count(), 1, "{said}");
    assert!(said.starts_with("warning: DynamoDB listens on 0.0.0.0:"), "{said}");
    assert!(program.said("out").contains("--endpoint-url http://127.0.0.1:"));
}

#[tokio::test]
async fn without_athena_it_says_why_answers_502_and_goes_on() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listen = format!("--listen={free}");
    let mut program = Program::start([&listen, "--dynamodb=:0", "--athena-url=http://127.0.0.1:1"], &[]);
    program.wait_for("reason", || program.said("err").contains("tried again each minute"));
    let said = program.said("err");
    assert!(said.starts_with("refresh failed: ") && said.contains("StartQueryExecution failed"), "{said}");
    let target = "/v1/endpoints/metrics/prometheus?endpoint=chat.demo.example";
    let scrape = http::get(free, target, &["Authorization: Bearer demo-dedicated-key"]).await;
    assert_eq!(scrape.status, 502, "{}", scrape.text());
    assert!(program.process.try_wait().unwrap().is_none());
}
