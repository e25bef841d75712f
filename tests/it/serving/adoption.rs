//! A gateway that is killed where instances outlive it: the next one takes them over.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;
use tempfile::TempDir;

use super::{SCALES, Serve, config, is_alive, signal};
use crate::cli::folder;

/// A program that starts instances which stay when nobody wants them, and writes down how it is called: fleet, verb, number.
const PROGRAM: &str = r#"#!/bin/sh
cd "$(dirname "$0")"
echo "$WAVETANK_FLEET $*" >> calls
name=$WAVETANK_FLEET.$2
case $1 in
list)
    for pid in "$WAVETANK_FLEET".*.pid; do
        number=${pid#"$WAVETANK_FLEET".} number=${number%.pid}
        [ -f "$pid" ] && kill -0 "$(cat "$pid")" 2>/dev/null && echo "$number 127.0.0.1:$(sed -n "$((number + 1))p" ports)"
    done
    true ;;
launch)
    port=$(sed -n "$(($2 + 1))p" ports)
    WAVETANK_TEST_PORT=$port INSTANCE --exact serving::an_instance_serves --nocapture >/dev/null 2>&1 &
    echo $! > "$name.pid"
    echo "$port" ;;
terminate) kill -9 "$(cat "$name.pid")" 2>/dev/null; rm -f "$name.pid" ;;
observe) kill -0 "$(cat "$name.pid")" 2>/dev/null || exit 3; echo '{}' ;;
esac
"#;

/// The program in a folder, and what it has started; all of that ends with this.
struct Program(TempDir);

impl Program {
    fn new() -> Program {
        let instance = std::env::current_exe().unwrap();
        // Ports that are free now, one a line: an instance has the one of its number.
        let taken: Vec<TcpListener> = (0..6).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: String = taken.iter().map(|each| format!("{}\n", each.local_addr().unwrap().port())).collect();
        let text = PROGRAM.replace("INSTANCE", &instance.display().to_string());
        let folder = folder(&[("fleet.sh", text.as_bytes()), ("ports", ports.as_bytes())]);
        fs::set_permissions(folder.path().join("fleet.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        Program(folder)
    }

    /// A gateway of the fleet "shop" that has it start instances.
    fn serve(&self, sections: &str) -> Serve {
        let text = config("provider = \"command\"", &format!("{sections}[scenario]\nname = \"shop\"\n"));
        let command = text.lines().find(|line| line.starts_with("command")).unwrap();
        let program = format!("command = {:?}", self.0.path().join("fleet.sh"));
        Serve::start_with(&text.replace(command, &program))
    }

    fn pid(&self, number: u32) -> Option<u32> {
        let pid = fs::read_to_string(self.0.path().join(format!("shop.{number}.pid"))).ok()?;
        pid.trim().parse().ok()
    }

    fn pids(&self, numbers: &[u32]) -> Vec<u32> {
        let mut pids: Vec<u32> = numbers.iter().map(|number| self.pid(*number).expect("it was started")).collect();
        pids.sort_unstable();
        pids
    }

    /// Those of "shop" that run.
    fn running(&self) -> Vec<u32> {
        let mut pids: Vec<u32> = (0..6).filter_map(|number| self.pid(number)).filter(|pid| is_alive(*pid)).collect();
        pids.sort_unstable();
        pids
    }

    /// Numbers that a verb was called with, sorted.
    fn calls(&self, verb: &str) -> Vec<u32> {
        let calls = fs::read_to_string(self.0.path().join("calls")).unwrap();
        let with = format!("shop {verb} ");
        let mut numbers: Vec<u32> = calls.lines().filter_map(|line| line.strip_prefix(&with)?.parse().ok()).collect();
        numbers.sort_unstable();
        numbers
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        for pid in self.running() {
            signal(pid, "KILL");
        }
    }
}

fn kill(mut serve: Serve) {
    serve.child.kill().unwrap();
    serve.child.wait().unwrap();
}

#[test]
fn a_gateway_that_was_killed_finds_its_instances_again_and_starts_none_twice() {
    let program = Program::new();
    let check = "[balancer]\nhealth_check = { interval = \"1s\", timeout = \"300ms\" }\n";
    let serve = program.serve(&format!("{SCALES}{check}"));
    serve.order(json!({ "action": "scale_up" }));
    serve.until("the third", |serve| serve.count("ready") == 3);
    let all = program.pids(&[0, 1, 2]);
    assert_eq!(serve.pids(), all);
    kill(serve);
    assert!(all.iter().all(|pid| is_alive(*pid)), "they outlive their gateway");

    // One of them hangs: it is stopped, and the others serve at once, as many as there are.
    let hung = program.pid(0).unwrap();
    signal(hung, "STOP");
    let mut serve = program.serve(&format!("{SCALES}{check}"));
    assert_eq!(serve.pids(), program.pids(&[1, 2]));
    assert_eq!(serve.count("ready"), 2);
    assert!(!is_alive(hung));
    assert_eq!((program.calls("launch"), program.calls("terminate")), (vec![0, 1, 2], vec![0]));
    for line in ["adopted instance 1 at ", "adopted instance 2 at ", "stopped instance 0 at "] {
        assert!(serve.told().contains(line), "{line}: {}", serve.told());
    }
    // A new one gets a number of its own, and orders reach those that were adopted.
    serve.order(json!({ "action": "scale_up" }));
    serve.until("one more", |serve| serve.count("ready") == 3);
    assert_eq!(program.calls("launch"), [0, 1, 2, 3]);
    assert_eq!(serve.pids(), program.pids(&[1, 2, 3]));
    kill(serve);

    // Where there is no room for all of them, the youngest go.
    serve = program.serve(&format!("[fleet]\ninitial = 1\n[autoscaler]\nmin = 1\nmax = 1\n{check}"));
    assert_eq!(serve.pids(), program.pids(&[1]));
    assert_eq!(program.calls("terminate"), [0, 2, 3]);
    assert!(serve.told().contains("there is room for 1"), "{}", serve.told());
    let last = program.pid(1).unwrap();
    serve.signal("TERM");
    assert_eq!(serve.child.wait().unwrap().code(), Some(0));
    assert!(!is_alive(last), "one that is told to end stops what it has adopted");
    assert_eq!((program.calls("launch"), program.calls("terminate")), (vec![0, 1, 2, 3], vec![0, 1, 2, 3]));
}

#[test]
fn an_instance_that_died_with_its_gateway_is_replaced_and_another_fleet_left_alone() {
    let program = Program::new();
    let serve = program.serve(SCALES);
    let [first, second] = [0, 1].map(|number| program.pid(number).unwrap());
    kill(serve);
    signal(first, "KILL");
    // What was instance 1 of "shop" is from here on one of another fleet.
    let rename = |number: u32| {
        let of = |fleet: &str| program.0.path().join(format!("{fleet}.{number}.pid"));
        fs::rename(of("shop"), of("other")).unwrap();
    };
    rename(1);
    let taken: Vec<u16> = fs::read_to_string(program.0.path().join("ports"))
        .unwrap()
        .lines()
        .map(|port| port.parse().unwrap())
        .collect();
    // Its port is not free, so that numbers begin behind it.
    fs::write(program.0.path().join("ports"), taken[2..].iter().map(|port| format!("{port}\n")).collect::<String>())
        .unwrap();
    let serve = program.serve(SCALES);
    assert_eq!(serve.pids(), program.running(), "two new ones");
    assert_eq!(serve.pids().len(), 2);
    assert!(is_alive(second) && !serve.pids().contains(&second));
    signal(second, "KILL");
    assert!(!serve.told().contains("adopted"), "{}", serve.told());
}

#[test]
fn a_list_that_cannot_be_read_keeps_a_gateway_from_starting_anything() {
    let program = Program::new();
    let path = program.0.path().join("fleet.sh");
    fs::write(&path, PROGRAM.replace("list)\n", "list) echo nonsense ;;\nnever)\n")).unwrap();
    let text = format!(
        "[live]\nlisten = \"127.0.0.1:0\"\ncontrol = \"127.0.0.1:0\"\nprovider = \"command\"\ncommand = {path:?}\n{SCALES}"
    );
    let folder = folder(&[("serve.toml", text.as_bytes())]);
    let out = crate::cli::output(folder.path(), &["serve", "serve.toml"]);
    let told = crate::cli::stderr(&out);
    assert_eq!(out.status.code(), Some(4), "{told}");
    assert!(told.contains("one of its lines is \"nonsense\", expected a number and an address"), "{told}");
    assert!(fs::read_to_string(program.0.path().join("calls")).unwrap().lines().all(|call| call.ends_with(" list")));
}
