//! The contract over real brokers: bad input on both versions of the protocol, connections that break, late subscribers,
//! doors, and our own client. In real time; one after the other.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use common::{Mosquitto, PATIENCE, Running, alone, binary, next, planktor, run, text};
use planktor_runtime::client::{Client, ClientError, Said};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// A twin on a broker, ready.
fn service(broker: &str, data: &Path) -> Running {
    Running::start(planktor(&["run", "--twin", "--broker", broker, "--data"]).arg(data), "connected")
}

fn on(broker: &Mosquitto) -> String {
    format!("127.0.0.1:{}", broker.port)
}

const STROKE: &str = r#"{"action": "move", "direction": "FORWARD", "volume": 0.002, "flowrate": 3}"#;

/// A message with any payload, in this version of the protocol.
fn publish(broker: &Mosquitto, version: &str, topic: &str, payload: &[u8]) {
    let mut command = Command::new(binary("mosquitto_pub"));
    command.args(["-h", "127.0.0.1", "-p", &broker.port, "-V", version, "-t", topic]);
    command.arg(if payload.is_empty() { "-n" } else { "-s" });
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    // A broker that takes no such payload hangs up.
    let _ = child.stdin.take().unwrap().write_all(payload);
    child.wait().unwrap();
}

/// The next status that says why something was refused.
fn refusal(statuses: &Receiver<String>, of: &str) -> (String, Value) {
    loop {
        let line = statuses.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no answer to {of}"));
        let (topic, payload) = line.split_once(' ').unwrap();
        common::check(&line);
        let Ok(payload) = serde_json::from_str::<Value>(payload) else { continue };
        assert_ne!(payload["status"], "Started", "{of} moved something");
        if !payload["reason"].is_null() {
            return (topic.into(), payload);
        }
    }
}

#[test]
fn bad_input_is_refused_on_every_topic_in_both_versions_and_the_next_command_works() {
    let _alone = alone();
    let (broker, data) = (Mosquitto::start(), TempDir::new().unwrap());
    let mut service = service(&on(&broker), data.path());
    let topics = [
        ("actuator/pump", "status/pump"),
        ("actuator/focus", "status/focus"),
        ("light", "status/light"),
        ("actuator/light", "status/light"),
        ("actuator/bubbler", "status/bubbler"),
        ("imager/image", "status/imager"),
        ("imager/image/update_config", "status/imager"),
        ("display", "planktor/status/display"),
        ("led-operating-time", "status/led-operating-time"),
        ("planktor/acquire", "status/imager"),
        ("planktor/lease", "planktor/status/lease"),
        ("planktor/protocol/store", "planktor/status/protocol"),
        ("planktor/protocol/estimate", "planktor/status/protocol"),
        ("planktor/protocol/run", "status/imager"),
        ("planktor/no/such/topic", "planktor/status/refusal"),
        ("actuator/segmenter", "planktor/status/refusal"),
    ];
    let deep = "[".repeat(100_000);
    let long = format!(r#"{{"action": "explode", "x": "{}"}}"#, "y".repeat(200 * 1024));
    let payloads: [&[u8]; 12] = [
        b"",
        b"{",
        b"5",
        b"[1]",
        b"null",
        b"\"x\"",
        b"{\"action\": 5}",
        b"{\"action\": \"MOVE\"}",
        b"{\"volume\": NaN}",
        b"\xff\xfe{}",
        deep.as_bytes(),
        long.as_bytes(),
    ];
    let (_listener, statuses) = broker.subscribe("#");
    for version in ["mqttv311", "mqttv5"] {
        for (topic, answered) in topics {
            for payload in payloads {
                let of = format!(
                    "{} on {topic}, {version}",
                    String::from_utf8_lossy(&payload[..payload.len().min(40)])
                );
                publish(&broker, version, topic, payload);
                let (there, said) = refusal(&statuses, &of);
                assert_eq!(there, answered, "{of}: {said}");
                assert!(said["status"].is_string(), "{of}: {said}");
            }
        }
        // More than we announce: no answer is needed, and no harm may come of it.
        publish(&broker, version, "actuator/pump", &vec![b'x'; 1 << 20]);
        publish(&broker, version, "actuator/pump", STROKE.as_bytes());
        while next(&statuses, "status/pump")["status"] != "Done" {}
    }
    service.signal("TERM");
    assert!(service.wait().success());
}

#[test]
fn a_late_subscriber_never_sees_an_old_done() {
    let _alone = alone();
    let (broker, data) = (Mosquitto::start(), TempDir::new().unwrap());
    let _service = service(&on(&broker), data.path());
    let (_listener, statuses) = broker.subscribe("status/pump");
    publish(&broker, "mqttv5", "actuator/pump", STROKE.as_bytes());
    while next(&statuses, "status/pump")["status"] != "Done" {}
    assert_eq!(next(&statuses, "status/pump")["status"], "Idle");
    let (_late, late) = broker.subscribe("status/pump");
    assert_eq!(next(&late, "status/pump")["status"], "Idle");
    let long = STROKE.replace("0.002", "0.1");
    publish(&broker, "mqttv311", "actuator/pump", long.as_bytes());
    while next(&statuses, "status/pump")["status"] != "Started" {}
    let (_later, later) = broker.subscribe("status/pump");
    assert_eq!(next(&later, "status/pump")["status"], "Started");
    publish(&broker, "mqttv311", "actuator/pump", br#"{"action": "stop"}"#);
    assert_eq!(next(&later, "status/pump")["status"], "Interrupted");
    assert_eq!(next(&later, "status/pump")["status"], "Idle");
}

#[test]
fn after_a_kill_every_kept_state_says_dead_until_the_next_start() {
    let _alone = alone();
    let (broker, data) = (Mosquitto::start(), TempDir::new().unwrap());
    let mut killed = service(&on(&broker), data.path());
    let (_listener, statuses) = broker.subscribe("status/#");
    publish(&broker, "mqttv5", "actuator/pump", STROKE.replace("0.002", "0.5").as_bytes());
    while next(&statuses, "status/pump")["status"] != "Started" {}
    killed.signal("KILL");
    assert!(!killed.wait().success());
    for topic in ["status/pump", "status/focus", "status/light"] {
        let (_late, late) = broker.subscribe(topic);
        while next(&late, topic)["status"] != "Dead" {}
    }
    let gone = cli(&on(&broker), &["status"]);
    assert_eq!(gone.status.code(), Some(4), "{}", text(&gone.stderr));
    let _again = service(&on(&broker), data.path());
    for (topic, state) in [("status/pump", "Idle"), ("status/focus", "Idle"), ("status/light", "Off")] {
        let (_late, late) = broker.subscribe(topic);
        while next(&late, topic)["status"] != state {}
    }
}

/// A wire between the program and the broker that can be cut.
struct Wire {
    address: SocketAddr,
    /// The broker's port; `None` while it is cut.
    ends: Arc<Mutex<Option<Vec<TcpStream>>>>,
}

impl Wire {
    fn to(port: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let broker: SocketAddr = format!("127.0.0.1:{port}").parse().unwrap();
        let wire = Self { address: listener.local_addr().unwrap(), ends: Arc::new(Mutex::new(None)) };
        let ends = wire.ends.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let mut ends = ends.lock().unwrap();
                let Some(ends) = ends.as_mut() else { continue };
                let far = TcpStream::connect(broker).unwrap();
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    ends.push(from.try_clone().unwrap());
                    std::thread::spawn(move || carry(from, to));
                }
            }
        });
        wire
    }

    fn mend(&self) {
        self.ends.lock().unwrap().get_or_insert_default();
    }

    fn cut(&self) {
        for end in self.ends.lock().unwrap().take().into_iter().flatten() {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

#[test]
fn what_happened_while_the_broker_could_not_be_reached_is_told_afterwards_in_order() {
    let _alone = alone();
    let (broker, data) = (Mosquitto::start(), TempDir::new().unwrap());
    let wire = Wire::to(&broker.port);
    // It is away at the start, too: the program runs, and connects when it can.
    let mut command = planktor(&["run", "--twin", "--broker", &wire.address.to_string(), "--data"]);
    let _service = Running::start(command.arg(data.path()), "no connection to the MQTT broker");
    let (_listener, statuses) = broker.subscribe("#");
    wire.mend();
    while next(&statuses, "status/imager")["status"] != "Ready" {}
    let config = json!({"object_date": "2026-11-23", "sample_id": 7, "acq_id": "cut", "acq_nb_frame": 4});
    broker.publish("imager/image", &json!({"action": "update_config", "config": config}));
    let image = json!({"action": "image", "pump_direction": "FORWARD", "volume": 0.003, "nb_frame": 4, "sleep": 0.1, "flowrate": 3});
    broker.publish("imager/image", &image);
    while next(&statuses, "status/imager")["status"] != "Started" {}
    wire.cut();
    // Nobody can tell whether this is lost; it must not be done later.
    let folder = data.path().join("img/2026-11-23/7/cut");
    let count = || {
        std::fs::read_dir(&folder).map_or(0, |files| {
            files.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|e| e == "jpg")).count()
        })
    };
    let (_tick, ticks) = std::sync::mpsc::channel::<()>();
    let mut looks = 0;
    while count() < 4 && looks < 600 {
        // Nobody ever sends: this is the pause between two looks at another process.
        let _ = ticks.recv_timeout(std::time::Duration::from_millis(50));
        looks += 1;
    }
    assert_eq!(count(), 4, "the acquisition goes on without a broker");
    wire.mend();
    let mut heard = vec![];
    loop {
        let said = next(&statuses, "status/imager");
        if let Some(current) = said["current"].as_u64() {
            heard.push(current);
        }
        if said["status"] == "Done" {
            break;
        }
    }
    assert_eq!(heard, [1, 2, 3, 4]);
    let (_late, late) = broker.subscribe("planktor/status/acquisition");
    assert_eq!(next(&late, "planktor/status/acquisition")["state"], "idle");
}

fn cli(broker: &str, arguments: &[&str]) -> Output {
    planktor(arguments).env("PLANKTOR_BROKER", broker).output().unwrap()
}

#[test]
fn our_own_client_does_everything_and_says_what_came_of_it() {
    let _alone = alone();
    let (broker, data) = (Mosquitto::start(), TempDir::new().unwrap());
    let _service = service(&on(&broker), data.path());
    let tell = |arguments: &[&str]| {
        let output = cli(&on(&broker), arguments);
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    };
    let done = |arguments: &[&str]| {
        let (code, out, error) = tell(arguments);
        assert_eq!(code, 0, "{arguments:?}: {out} {error}");
        out
    };
    assert!(done(&["light", "on", "0.5"]).contains("On at 0.5"));
    let status: Value = serde_json::from_str(&done(&["status", "--json"])).unwrap();
    assert_eq!(
        (&status["status/pump"]["status"], &status["status/bubbler"]["status"]),
        (&json!("Idle"), &json!("Off"))
    );
    assert_eq!(done(&["pump", "move", "-2"]), "pumped\n");
    assert_eq!(done(&["focus", "move", "50"]), "moved\n");
    assert_eq!(done(&["pump", "calibration", "3300"]), "3300 full steps for a millilitre\n");
    assert!(done(&["protocol", "list"]).contains("focus planes"));
    let file = data.path().join("mine.json");
    std::fs::write(
        &file,
        json!({"plan": [{"step": "pump", "volume_ul": 2, "flow_ml_per_min": 3},
        {"step": "capture"}, {"step": "write"}]})
        .to_string(),
    )
    .unwrap();
    let file = file.to_str().unwrap();
    done(&["protocol", "validate", file]);
    done(&["protocol", "store", "mine", file]);
    let estimate: Value = serde_json::from_str(&done(&["protocol", "estimate", "mine", "--json"])).unwrap();
    assert_eq!((&estimate["frames"], &estimate["forwards_ul"]), (&json!(1), &json!(2.0)));
    let run = ["protocol", "run", "mine", "--sample", "s", "--acquisition", "a"];
    assert!(done(&run).trim().ends_with("/s/a"));
    let acquired = done(&[
        "acquire",
        "--frames",
        "2",
        "--settle",
        "0.1",
        "--sample",
        "s",
        "--acquisition",
        "b",
        "--json",
    ]);
    let acquired: Value = serde_json::from_str(&acquired).unwrap();
    assert!(planktor(&["verify", acquired["path"].as_str().unwrap()]).status().unwrap().success());
    let whole = acquired["path"].as_str().unwrap();
    let (code, _, error) = tell(&["resume", whole]);
    assert!(code == 3 && error.contains("it is complete"), "{code} {error}");
    let (_frames, statuses) = broker.subscribe("status/imager");
    let cut = ["acquire", "--frames", "3", "--settle", "0.1", "--sample", "s", "--acquisition", "c"];
    let mut cut = planktor(&cut);
    let cut =
        cut.args(["--broker", &on(&broker)]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    while !next(&statuses, "status/imager")["status"].as_str().unwrap_or_default().starts_with("Image 1/3") {}
    done(&["stop"]);
    assert_eq!(cut.wait_with_output().unwrap().status.code(), Some(5), "interrupted");
    let rest = whole.strip_suffix('b').unwrap().to_owned() + "c";
    // Frames that were exposed before the stop may still be on their way to the disk: a slow computer says so.
    let resumed =
        (0..100).map(|_| tell(&["resume", &rest])).find(|(_, _, error)| !error.contains("is being written"));
    let (code, out, error) = resumed.unwrap();
    assert_eq!((code, out.trim()), (0, &*rest), "{error}");
    assert!(planktor(&["verify", &rest]).status().unwrap().success());

    done(&["lease", "take", "--owner", "ada"]);
    let (code, _, error) = tell(&["light", "off"]);
    assert!(code == 3 && error.contains("ada operates the instrument"), "{code} {error}");
    done(&["light", "off", "--owner", "ada"]);
    done(&["lease", "release", "--owner", "ada"]);
    let (code, _, error) = tell(&["acquire", "--sample", "s", "--acquisition", "b"]);
    assert!(code == 3 && error.contains("exists already"), "{code} {error}");
    let (code, ..) = tell(&["protocol", "pause"]);
    assert_eq!(code, 3);
    let (code, ..) = tell(&["pump", "sideways"]);
    assert_eq!(code, 2);
    let long =
        planktor(&["pump", "move", "500", "--broker", &on(&broker)]).stderr(Stdio::piped()).spawn().unwrap();
    let (_listener, statuses) = broker.subscribe("status/pump");
    while next(&statuses, "status/pump")["status"] != "Started" {}
    done(&["pump", "stop"]);
    assert_eq!(long.wait_with_output().unwrap().status.code(), Some(5), "interrupted");
    let nobody = cli("127.0.0.1:1", &["status"]);
    assert_eq!(nobody.status.code(), Some(4));
    assert!(text(&run_completions()).contains("planktor"));
}

/// More statuses than may wait to be read, told between a stroke's start and its answer.
#[test]
fn an_answer_comes_to_a_client_that_does_not_listen_while_others_flood() {
    let _alone = alone();
    let (broker, data) = (Mosquitto::start(), TempDir::new().unwrap());
    let _service = service(&on(&broker), data.path());
    let address = on(&broker).parse().unwrap();
    let (deaf, other) =
        (Client::connect(&address, "deaf").unwrap(), Client::connect(&address, "other").unwrap());
    let until = |is_it: fn(&Said) -> bool| {
        other.next_of(PATIENCE, is_it).unwrap().expect("the instrument speaks");
    };
    let mut is_deaf = false;
    let stroke = json!({"action": "move", "direction": "FORWARD", "volume": 1, "flowrate": 3});
    let ended = deaf.request("actuator/pump", stroke, |said| {
        if is_deaf || said.payload["status"] != "Started" {
            return;
        }
        is_deaf = true;
        let mut told = 0;
        while told < 2_000 {
            while other.offer("planktor/health", &json!({"action": "get"})).unwrap() {}
            until(|said| said.topic == "planktor/status/health");
            told += 1;
        }
        other.send("actuator/pump", &json!({"action": "stop"})).unwrap();
        until(|said| said.payload["status"] == "Interrupted");
    });
    assert!(matches!(ended, Err(ClientError::Interrupted)), "{ended:?}");
}

#[test]
fn a_late_answer_to_something_else_is_none() {
    let _alone = alone();
    let (broker, data) = (Mosquitto::start(), TempDir::new().unwrap());
    let _service = service(&on(&broker), data.path());
    let client = Client::connect(&on(&broker).parse().unwrap(), "asks").unwrap();
    let (_subscription, answers) = broker.subscribe("planktor/client/#");
    client.request("light", json!({"action": "on"}), |_| ()).unwrap();
    let first = answers.recv_timeout(PATIENCE).unwrap();
    let (topic, answer) = first.split_once(' ').unwrap();
    let stroke = json!({"action": "move", "direction": "FORWARD", "volume": 1, "flowrate": 3});
    let ended = client.request("actuator/pump", stroke, |said| {
        if said.payload["status"] == "Started" {
            broker.publish(topic, &serde_json::from_str(answer).unwrap());
            broker.publish("actuator/pump", &json!({"action": "stop"}));
        }
    });
    assert!(matches!(ended, Err(ClientError::Interrupted)), "{ended:?}");
}

#[test]
fn a_ramp_is_calibrated_by_who_answers_its_questions() {
    let _alone = alone();
    let (broker, data) = (Mosquitto::start(), TempDir::new().unwrap());
    let _service = service(&on(&broker), data.path());
    let calibrate = |answers: &str| {
        let arguments = ["calibrate", "ramp", "--volume-ul", "2", "--check-ml", "0.002"];
        let mut command = planktor(&arguments);
        command.env("PLANKTOR_BROKER", on(&broker));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut asking = command.spawn().unwrap();
        asking.stdin.take().unwrap().write_all(answers.as_bytes()).unwrap();
        let output = asking.wait_with_output().unwrap();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    let client = Client::connect(&on(&broker).parse().unwrap(), "asks").unwrap();
    let amax =
        || client.request("actuator/pump", json!({"action": "get-ramp"}), |_| ()).unwrap()["amax"].clone();
    let timid = amax();
    for (answers, why) in [("", "nobody is there to answer"), ("\n0.002\n\n0.0016\n", "refused")] {
        let (kept, out, error) = calibrate(answers);
        assert!(!kept && error.contains(why), "{answers:?}: {out} {error}");
        assert_eq!(amax(), timid, "{answers:?}");
    }
    let (kept, out, error) = calibrate("\nmuch\n0,002\n\n0.002\n");
    assert!(kept && out.contains("kept: ") && error.contains("\"much\" is no volume"), "{out} {error}");
    assert!(amax().as_u64() > timid.as_u64(), "{out}");
}

fn run_completions() -> Vec<u8> {
    run(&["completions", "bash"]).stdout
}

/// A certificate for localhost, signed by an authority of our own.
fn certificates(folder: &Path) {
    let openssl = |arguments: &str| {
        let mut command = Command::new("openssl");
        let output = command.current_dir(folder).args(arguments.split(' ')).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    };
    openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=test-authority");
    openssl("req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=localhost");
    std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1").unwrap();
    openssl(
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 2 -extfile names",
    );
}

#[test]
fn the_embedded_brokers_door_opens_for_names_and_roles_over_tls_too() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    certificates(folder.path());
    let line = |name: &str, role: &str, password: &str| {
        let mut command = planktor(&["password", name, "--role", role]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        writeln!(child.stdin.take().unwrap(), "{password}").unwrap();
        text(&child.wait_with_output().unwrap().stdout)
    };
    let users = line("ada", "operator", "secret") + &line("bob", "viewer", "looks");
    std::fs::write(folder.path().join("users"), users).unwrap();
    let port = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (plain, tls) = (port(), port());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let _service = Running::start(
        &mut planktor(&[
            "run",
            "--twin",
            "--listen",
            &format!("127.0.0.1:{plain}"),
            "--tls",
            &format!("127.0.0.1:{tls}"),
            "--tls-certificate",
            &path("cert.pem"),
            "--tls-key",
            &path("key.pem"),
            "--users",
            &path("users"),
            "--data",
            &path("data"),
        ]),
        "connected",
    );
    let light = |broker: &str, login: Option<(&str, &str)>, ca: Option<&str>| {
        let mut command = planktor(&["light", "on", "--broker", broker]);
        if let Some((name, password)) = login {
            command.args(["--user", name]).env("PLANKTOR_PASSWORD", password);
        }
        if let Some(ca) = ca {
            command.args(["--ca", ca]);
        }
        let output = command.output().unwrap();
        (output.status.code().unwrap(), text(&output.stderr))
    };
    let (plain, secure) = (format!("127.0.0.1:{plain}"), format!("mqtts://localhost:{tls}"));
    assert_eq!(light(&plain, Some(("ada", "secret")), None).0, 0);
    assert_eq!(light(&secure, Some(("ada", "secret")), Some(&path("ca.pem"))).0, 0);
    for (broker, login, ca) in [
        (&plain, None, None),
        (&plain, Some(("ada", "guess")), None),
        (&plain, Some(("planktor", "guess")), None),
        // Nobody vouches for this certificate.
        (&secure, Some(("ada", "secret")), None),
    ] {
        let (code, error) = light(broker, login, ca);
        assert_eq!(code, 4, "{broker} {login:?}: {error}");
    }
    // Who only looks sees everything, and is not heard: what comes from an operator after it finds the lamp lit.
    let mut pub_off = Command::new(binary("mosquitto_pub"));
    let (_, port) = plain.split_once(':').unwrap();
    pub_off.args(["-h", "127.0.0.1", "-p", port, "-u", "bob", "-P", "looks", "-q", "1"]);
    let _ = pub_off.args(["-t", "light", "-m", r#"{"action": "off"}"#]).output();
    let status = |name: &str, password: &str| {
        let mut command = planktor(&["status", "--json", "--broker", &plain, "--user", name]);
        let output = command.env("PLANKTOR_PASSWORD", password).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    assert_eq!(status("ada", "secret")["status/light"]["status"], "On");
    assert_eq!(status("bob", "looks")["status/light"]["status"], "On");
}
