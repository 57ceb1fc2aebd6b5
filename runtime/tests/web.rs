//! The page's server as strangers find it: bad addresses, floods, other origins, missing logins. What is refused is refused
//! by name, and the instrument does not notice.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use common::{PATIENCE, Running, lines, planktor, run, text};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Stdio;
use tempfile::TempDir;

/// A program with a twin and a page, and what it said at its start.
struct Page {
    program: Running,
    address: SocketAddr,
    said: Vec<String>,
    folder: TempDir,
}

impl Page {
    fn start(options: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let world = folder.path().join("world.toml");
        std::fs::write(&world, "frame = [408, 306]\n").unwrap();
        let data = folder.path().join("data");
        let usual = ["run", "--twin", world.to_str().unwrap(), "--data", data.to_str().unwrap()];
        let ports = ["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"];
        let mut command = planktor(&[&usual[..], &ports, options].concat());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let heard = lines(child.stderr.take().unwrap());
        let program = Running(child);
        let mut said: Vec<String> = vec![];
        // Two threads say these, in any order.
        let up = ["the page is on", "connected to the MQTT"];
        while !up.iter().all(|words| said.iter().any(|line| line.contains(words))) {
            said.push(heard.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("it never came up: {said:#?}")));
        }
        let page = said.iter().find_map(|line| line.split_once("the page is on http://")).unwrap().1;
        let address = page.trim_end_matches('/').parse().unwrap();
        Self { program, address, said, folder }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends a request as it is.
    fn raw(&self, request: &str) -> Answer {
        let mut stream = self.connect();
        // It may be refused before it is read to its end.
        let _ = stream.write_all(request.as_bytes());
        Answer::read(&mut stream)
    }

    fn get(&self, path: &str, headers: &[&str]) -> Answer {
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        self.raw(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n"))
    }

    fn post(&self, path: &str, body: &str, headers: &[&str]) -> Answer {
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let length = body.len();
        self.raw(&format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n{headers}\r\n{body}"
        ))
    }

    fn command(&self, topic: &str, payload: &Value) -> Answer {
        self.post(&format!("/api/commands/{topic}"), &payload.to_string(), &[])
    }

    /// The instrument itself does what it is told.
    fn works(&self) {
        let stroke = json!({"action": "move", "direction": "FORWARD", "volume": 0.001, "flowrate": 3});
        assert_eq!(self.command("actuator/pump", &stroke).status, 200);
    }

    /// A data set with so many frames: its address, and its frames' names.
    fn acquire(&self, frames: u32) -> (String, Vec<String>) {
        let config = json!({"action": "update_config", "config": {"object_date": "2026-06-01", "sample_id": "s", "acq_id": "a"}});
        assert_eq!(self.command("imager/image", &config).status, 200);
        let image = json!({"action": "image", "pump_direction": "FORWARD", "volume": 0.001, "nb_frame": frames, "sleep": 0.1});
        assert_eq!(self.command("imager/image", &image).status, 200);
        let set = "/api/datasets/2026-06-01/s/a".to_owned();
        let shown = self.get(&set, &[]).json();
        let names =
            shown["frames"].as_array().unwrap().iter().map(|frame| frame["name"].as_str().unwrap().into());
        (set, names.collect())
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    /// Status 0: the connection was closed without an answer.
    fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = vec![];
        // Who is turned away may find the connection reset.
        let _ = stream.read_to_end(&mut bytes);
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
        let head = text(&bytes[..end]);
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { status, head, body: bytes[end..].to_vec() }
    }

    fn header(&self, name: &str) -> Option<&str> {
        let line =
            self.head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")))?;
        Some(line.split_once(':')?.1.trim())
    }

    /// Without the lengths of chunks, which JSON here never has.
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|why| panic!("{why}: {} {}", self.head, text(&self.body)))
    }

    fn reason(&self) -> String {
        self.json()["error"]["message"].as_str().unwrap().to_owned()
    }
}

#[test]
fn no_address_leads_out_of_the_data() {
    let page = Page::start(&[]);
    let (set, frames) = page.acquire(1);
    std::fs::write(page.folder.path().join("secret.jpg"), "top secret").unwrap();
    std::fs::write(page.data().join("secret.jpg"), "top secret").unwrap();
    let inside = page.data().join("img/2026-06-01/s/a");
    std::os::unix::fs::symlink(page.folder.path().join("secret.jpg"), inside.join("link.jpg")).unwrap();
    std::os::unix::fs::symlink(page.folder.path(), page.data().join("img/2026-06-01/s/out")).unwrap();
    std::os::unix::fs::symlink("/etc", page.data().join("img/2026-06-02")).unwrap();

    let evil = [
        "..",
        "%2e%2e",
        "..%2f..%2fsecret.jpg",
        "%2e%2e%2f%2e%2e%2fsecret.jpg",
        "..%5c..",
        "%00",
        "a%00b",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "..%252f..",
        "link.jpg",
        "out",
        "secret.jpg",
        ".",
        "%0d%0aX: y",
        "....//",
        "\u{202e}",
        "%ff%fe",
    ];
    let mut asked = 0;
    for evil in evil {
        let evil = evil.replace(' ', "%20");
        for path in [
            format!("/api/datasets/{evil}/s/a"),
            format!("/api/datasets/2026-06-01/{evil}/a"),
            format!("/api/datasets/2026-06-01/s/{evil}"),
            format!("{set}/frames/{evil}"),
            format!("{set}/thumbnails/{evil}"),
            format!("/api/datasets/{evil}/s/a/frames/{}", frames[0]),
            format!("/api/datasets/2026-06-01/{evil}/a/zip"),
            format!("/api/datasets/2026-06-01/s/{evil}/verify"),
            format!("/api/datasets/2026-06-01/s/{evil}/frames/secret.jpg"),
            format!("/api/captures/{evil}"),
            format!("/api/protocols/{evil}"),
            format!("/page/{evil}"),
            format!("/{evil}"),
        ] {
            let answer = page.get(&path, &[]);
            assert!((400..500).contains(&answer.status), "{path}: {answer:?}");
            assert!(
                !text(&answer.body).contains("top secret") && !text(&answer.body).contains("root:"),
                "{path}"
            );
            asked += 1;
        }
        let answer = page.get(&format!("/api/datasets?before={evil}&limit=5"), &[]);
        assert!(!text(&answer.body).contains("secret"), "{answer:?}");
    }
    assert!(asked > 200);
    // What is not a frame is not served as one, and the list shows no way out.
    assert_eq!(page.get(&format!("{set}/frames/metadata.json"), &[]).status, 404);
    let list = page.get("/api/datasets", &[]).json();
    assert_eq!(list["datasets"].as_array().unwrap().len(), 1, "{list}");
    assert_eq!(page.get(&format!("{set}/frames/{}", frames[0]), &[]).status, 200);
}

#[test]
fn a_frame_comes_whole_in_pieces_or_not_again() {
    let page = Page::start(&[]);
    let (set, frames) = page.acquire(2);
    let path = format!("{set}/frames/{}", frames[1]);
    let file = std::fs::read(page.data().join("img/2026-06-01/s/a").join(&frames[1])).unwrap();
    let whole = page.get(&path, &[]);
    assert_eq!((whole.status, &whole.body), (200, &file));
    let tag = whole.header("etag").unwrap();
    assert!(whole.header("cache-control").unwrap().contains("immutable"));
    let part = page.get(&path, &["Range: bytes=100-199"]);
    assert_eq!((part.status, &part.body[..]), (206, &file[100..200]));
    assert_eq!(part.header("content-range").unwrap(), format!("bytes 100-199/{}", file.len()));
    let end = page.get(&path, &["Range: bytes=-10"]);
    assert_eq!((end.status, &end.body[..]), (206, &file[file.len() - 10..]));
    assert_eq!(page.get(&path, &["Range: bytes=99999999-"]).status, 416);
    assert_eq!(page.get(&path, &["Range: lines=1-2"]).status, 416);
    assert_eq!(
        page.get(&path, &["Range: bytes=0-9", "If-Range: \"old\""]).body,
        file,
        "the file is another one now"
    );
    let again = page.get(&path, &[&format!("If-None-Match: {tag}")]);
    assert_eq!((again.status, again.body.len()), (304, 0));

    let set = page.get(&set, &[]).json();
    assert_eq!(set["end"]["end"], "complete");
    assert_eq!(set["frames"][1]["record"]["size"].as_u64(), Some(file.len() as u64));
    assert_eq!(set["metadata"]["planktor_board"], "twin");
}

#[test]
fn what_is_too_large_or_too_slow_is_cut_off() {
    let page = Page::start(&[]);
    // What will time out is begun first, so that both wait at the same time.
    let mut slow_head = page.connect();
    slow_head.write_all(b"GET /api/status HTTP/1.1\r\nHost: local").unwrap();
    let mut slow_body = page.connect();
    let head = "POST /api/commands/light HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n";
    slow_body.write_all(format!("{head}Content-Length: 100\r\n\r\n{{\"action\"").as_bytes()).unwrap();

    let huge = "x".repeat(200_000);
    for request in [
        format!("GET /{huge} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-Huge: {huge}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X-Many: 1\r\n".repeat(500)),
        format!("{huge}\r\n\r\n"),
        "\0\0\0\0".into(),
        "GET / HTTP/9.9\r\n\r\n".into(),
    ] {
        let status = page.raw(&request).status;
        assert!(
            status == 0 || (400..=599).contains(&status),
            "{}: {status}",
            &request[..20.min(request.len())]
        );
    }
    let large = json!({"action": "on", "x": "y".repeat(300_000)}).to_string();
    assert_eq!(page.post("/api/commands/light", &large, &[]).status, 413);
    let answer = Answer::read(&mut slow_body);
    assert_eq!((answer.status, answer.reason().contains("did not come")), (408, true));
    assert!(matches!(Answer::read(&mut slow_head).status, 0 | 408), "a head that never comes");
    page.works();
}

#[test]
fn a_flood_of_connections_is_turned_away_and_others_are_served() {
    let page = Page::start(&[]);
    let flood: Vec<TcpStream> = (0..2_000)
        .filter_map(|n| {
            let mut stream = TcpStream::connect(page.address).ok()?;
            // Half of them begin a request and never go on.
            if n % 2 == 0 {
                let _ = stream.write_all(b"GET / HTTP/1.1\r\n");
            }
            Some(stream)
        })
        .collect();
    assert!(flood.len() > 1_000, "{} connections", flood.len());
    // Another address of this computer is another guest.
    let socket =
        rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).unwrap();
    let other = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), 0);
    rustix::net::bind(&socket, &other).unwrap();
    rustix::net::connect(&socket, &page.address).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let metrics = text(&Answer::read(&mut stream).body);
    let value = |name: &str| {
        let line = metrics
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_else(|| panic!("{name}: {metrics}"));
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert!(value("planktor_http_connections ") <= 97.0);
    assert!(value("planktor_http_connections_refused_total") > 1_000.0);
    assert!(value("planktor_memory_resident_bytes ") < 80e6);
    drop(flood);
    page.works();
}

#[test]
fn the_clock_of_a_motors_driver_is_told_when_its_moves_have_shown_it() {
    let page = Page::start(&[]);
    let told = |device: &str| {
        let metrics = text(&page.get("/metrics", &[]).body);
        let value = |name: &str| {
            let name = format!("{name}{{device=\"{device}\"}} ");
            let line = metrics.lines().find_map(|line| line.strip_prefix(&name).map(str::to_owned));
            line.map(|value| value.parse::<f64>().unwrap())
        };
        value("planktor_motor_clock_hertz").zip(value("planktor_motor_clock_error_hertz"))
    };
    assert_eq!(told("pump"), None);
    let stroke = json!({"action": "move", "direction": "FORWARD", "volume": 0.006, "flowrate": 3});
    for _ in 0..2 {
        assert_eq!(page.post("/api/commands/actuator/pump", &stroke.to_string(), &[]).status, 200);
    }
    let (hz, within) = told("pump").unwrap();
    // That of a usual twin.
    assert!((hz - 12.41e6).abs() <= within && within < 0.05 * hz, "{hz} Hz within {within} Hz");
    assert_eq!(told("focus"), None);
}

#[test]
fn pages_of_other_origins_and_unknown_names_are_refused() {
    let page = Page::start(&[]);
    let on = json!({"action": "on"}).to_string();
    for (headers, status) in [
        (&["Origin: http://evil.example"][..], 403),
        (&["Origin: null"], 403),
        (&["Sec-Fetch-Site: cross-site"], 403),
        (&["Sec-Fetch-Site: same-site"], 403),
    ] {
        let answer = page.post("/api/commands/light", &on, headers);
        assert_eq!(answer.status, status, "{headers:?}");
        assert!(answer.reason().contains("another origin"));
    }
    // A form of another page cannot send JSON without being asked first.
    let form = "POST /api/commands/light HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: text/plain\r\n\
                Content-Length: 15\r\n\r\n{\"action\":\"on\"}";
    assert_eq!(page.raw(form).status, 415);
    let rebound = "GET /api/status HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert_eq!(page.raw(rebound).status, 421);
    let dark = page.get("/api/status", &[]).json();
    let light = dark.as_array().unwrap().iter().find(|said| said["topic"] == "status/light").unwrap();
    assert_eq!(light["message"]["status"], "Off", "none of them had an effect");
    assert_eq!(page.post("/api/commands/light", &on, &["Origin: http://localhost"]).status, 200);
    // No answer may be read by another page.
    assert!(
        page.get("/api/status", &["Origin: http://evil.example"])
            .header("access-control-allow-origin")
            .is_none()
    );
    let framed = page.get("/", &[]);
    assert!(framed.header("content-security-policy").unwrap().contains("frame-ancestors 'self'"));
    let bare = page.get("/preview/node-red", &[]);
    assert!(bare.header("content-security-policy").unwrap().contains("frame-ancestors http:"));
}

/// Every address of the API, asked without a login.
#[test]
fn without_a_login_nothing_is_seen_and_nothing_moved() {
    let page = Page::start(&["--http-without-login", "nothing"]);
    let document = page.get("/api/openapi.json", &[]).json();
    let mut asked = 0;
    for (path, at) in document["paths"].as_object().unwrap() {
        let concrete = path.replace("{topic}", "light").replace(['{', '}'], "");
        for (verb, operation) in at.as_object().unwrap() {
            if operation["x-who"] == "anybody" {
                continue;
            }
            let answer = match verb.as_str() {
                "get" => page.get(&concrete, &[]),
                _ => page.post(&concrete, "{\"action\":\"on\"}", &[]),
            };
            assert_eq!(answer.status, 401, "{verb} {concrete}");
            assert!(answer.reason().starts_with("log in to"), "{concrete}");
            asked += 1;
        }
    }
    assert!(asked > 15, "{asked}");
    for wrong in [
        "Authorization: Bearer nonsense",
        "Authorization: Basic !!!",
        "Authorization: Digest x",
        "Cookie: planktor=guess",
    ] {
        assert_eq!(page.get("/api/status", &[wrong]).status, 401, "{wrong}");
    }
    let code = page.said.iter().find_map(|line| line.split_once("with the code ")).unwrap().1.to_owned();
    let logged_in = page.post("/api/login", &json!({ "code": code }).to_string(), &[]);
    assert_eq!(logged_in.status, 200);
    let cookie = logged_in.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let cookie = format!("Cookie: {}", cookie.split(';').next().unwrap());
    assert_eq!(page.post("/api/commands/light", "{\"action\":\"on\"}", &[&cookie]).status, 200);
    assert_eq!(page.post("/api/logout", "{}", &[&cookie]).status, 200);
    assert_eq!(page.post("/api/commands/light", "{\"action\":\"on\"}", &[&cookie]).status, 401);
}

#[test]
fn roles_are_those_of_the_password_file() {
    let folder = TempDir::new().unwrap();
    let users = folder.path().join("users");
    let line = |name: &str, role: &str| {
        let mut command = planktor(&["password", name, "--role", role]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"secret\n").unwrap();
        text(&child.wait_with_output().unwrap().stdout)
    };
    std::fs::write(&users, line("ada", "operator") + &line("bob", "viewer")).unwrap();
    let page = Page::start(&["--users", users.to_str().unwrap()]);
    let token = |name: &str, password: &str| {
        let answer = page.post("/api/login", &json!({"name": name, "password": password}).to_string(), &[]);
        (
            answer.status,
            format!("Authorization: Bearer {}", answer.json()["token"].as_str().unwrap_or_default()),
        )
    };
    let (ada, bob) = (token("ada", "secret").1, token("bob", "secret").1);
    assert_eq!(token("ada", "wrong").0, 401);
    assert_eq!(token("eve", "secret").0, 401);
    let on = |headers: &[&str]| page.post("/api/commands/light", "{\"action\":\"on\"}", headers).status;
    assert_eq!((on(&[&ada]), on(&[&bob]), on(&[])), (200, 403, 401));
    assert_eq!((page.get("/api/status", &[&bob]).status, page.get("/api/status", &[]).status), (200, 401));
    // Prometheus has no cookies; "bob:secret".
    assert_eq!(page.get("/metrics", &["Authorization: Basic Ym9iOnNlY3JldA=="]).status, 200);
    assert_eq!(page.get("/", &[]).status, 200, "the page itself says how to log in");
}

#[test]
fn commands_are_answered_as_over_mqtt() {
    let page = Page::start(&[]);
    let answer = |topic: &str, body: &str| {
        let answer = page.post(&format!("/api/commands/{topic}"), body, &[]);
        (answer.status, text(&answer.body))
    };
    assert_eq!(
        answer("light", "{\"action\":\"on\",\"value\":0.5}"),
        (200, "{\"status\":\"On\",\"value\":0.5}".into())
    );
    for (topic, body, status, reason) in [
        ("light", "{", 400, "not valid JSON"),
        ("light", "{\"action\":\"on\",\"value\":7}", 400, "value: expected a number from 0.0 to 1.0"),
        ("no/such", "{\"action\":\"on\"}", 400, "nothing listens"),
        ("status/light", "{\"action\":\"on\"}", 400, "nothing listens"),
        ("planktor/status/lease", "{}", 404, "no such command"),
        (
            "imager/image",
            "{\"action\":\"image\",\"pump_direction\":\"FORWARD\",\"volume\":0.001,\"nb_frame\":1,\"sleep\":0.1}",
            409,
            "update_config",
        ),
        ("light?wait=99", "{\"action\":\"on\"}", 400, "wait: expected"),
    ] {
        let (got, text) = answer(topic, body);
        assert!(got == status && text.contains(reason), "{topic} {body}: {got} {text}");
    }
    let long = "{\"action\":\"move\",\"direction\":\"FORWARD\",\"volume\":1,\"flowrate\":3}";
    assert_eq!(answer("actuator/pump?wait=0", long).0, 202);
    let (status, text) = answer("actuator/pump", long);
    assert!(status == 409 && text.contains("refused"), "{status} {text}");
    assert_eq!(answer("actuator/pump", "{\"action\":\"stop\"}").0, 200);
    page.works();
    let captured = page.command("imager/image", &json!({"action": "capture", "dng": true})).json();
    for (kind, begins) in [("jpeg", &b"\xff\xd8"[..]), ("dng", b"II*\0")] {
        let name = captured[kind].as_str().unwrap().rsplit('/').next().unwrap();
        let file = page.get(&format!("/api/captures/{name}"), &[]);
        assert!(file.status == 200 && file.body.starts_with(begins), "{name}: {}", file.head);
    }
}

/// Reads events until one contains this; gives back its id.
fn wait_for(events: &mut impl BufRead, what: &str) -> String {
    let (mut line, mut id) = (String::new(), String::new());
    loop {
        line.clear();
        assert!(events.read_line(&mut line).unwrap() > 0, "the events ended before {what}");
        if let Some(said) = line.strip_prefix("id: ") {
            id = said.trim().into();
        }
        if line.starts_with("data: ") && line.contains(what) {
            return id;
        }
    }
}

#[test]
fn events_go_on_where_they_broke_off() {
    let page = Page::start(&[]);
    let listen = |headers: &str| {
        let mut stream = page.connect();
        write!(stream, "GET /api/events HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").unwrap();
        BufReader::new(stream)
    };
    let mut events = listen("");
    wait_for(&mut events, "\"topic\":\"status/light\"");
    page.command("light", &json!({"action": "on", "value": 0.25}));
    let id = wait_for(&mut events, "0.25");
    drop(events);
    page.command("light", &json!({"action": "on", "value": 0.75}));
    // Chrome and others order id and data as they like: what counts is that 0.25 does not come again.
    let mut events = listen(&format!("Last-Event-ID: {id}\r\n"));
    let mut heard = String::new();
    while !heard.contains("0.75") {
        assert!(events.read_line(&mut heard).unwrap() > 0);
    }
    assert!(!heard.contains("0.25"), "{heard}");
    // A number of another start says nothing: everything is told anew.
    let mut events = listen("Last-Event-ID: 0123-7\r\n");
    wait_for(&mut events, "0.75");
}

#[test]
fn a_stalled_viewer_holds_up_nobody() {
    let page = Page::start(&[]);
    let watch = || {
        let mut stream = page.connect();
        stream.write_all(b"GET /preview.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        stream
    };
    let _stalled: Vec<_> = (0..7).map(|_| watch()).collect();
    let mut lively = BufReader::new(watch());
    let (mut line, mut pictures) = (vec![], 0);
    while pictures < 30 {
        line.clear();
        assert!(lively.read_until(b'\n', &mut line).unwrap() > 0);
        pictures += u32::from(line.starts_with(b"Content-Length"));
    }
    let metrics = text(&page.get("/metrics", &[]).body);
    assert!(metrics.contains("planktor_preview_viewers 8\n"), "{metrics}");
    page.works();
    let _ = page.program;
}

#[test]
fn options_that_make_no_sense_are_refused() {
    for (options, reason) in [
        (&["--http", "nowhere"][..], "expected ADDRESS:PORT"),
        (&["--http", "off", "--rtsp-push"], "--rtsp-push needs the page"),
        (&["--rtsp-push", "http://x"], "expected rtsp://"),
        (&["--http-without-login", "look", "--users", "/dev/null"], "cannot be used with"),
    ] {
        let folder = TempDir::new().unwrap();
        let data = folder.path().to_str().unwrap();
        let output = run(&[&["run", "--twin", "--data", data, "--listen", "127.0.0.1:0"], options].concat());
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains(reason), "{options:?}: {said}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = TempDir::new().unwrap();
    let data = folder.path().to_str().unwrap();
    let output = run(&["run", "--twin", "--data", data, "--listen", "127.0.0.1:0", "--http", &address]);
    assert!(text(&output.stderr).contains("cannot be served on"), "{}", text(&output.stderr));
}
