//! The twin's gpsd: a server that speaks gpsd's JSON protocol (gpsd_json(5), protocol 3.15) over TCP and reports what
//! the receiver under the twin's sky says. In real time only: sockets know no other.

use crate::board::Twin;
use crate::faults::Fault;
use planktor_drivers::Clock;
use planktor_drivers::clock::Monotonic;
use planktor_protocol::position::{Fix, Place};
use planktor_protocol::{Instant, Utc};
use serde_json::{Value, json};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Clients at the same time; gpsd itself takes 64.
const MOST_CLIENTS: usize = 64;
/// How long a turn lasts: so late anybody learns that it is over.
const TURN: Duration = Duration::from_millis(50);
/// Receivers report once a second.
const PERIOD: Duration = Duration::from_secs(1);
/// A request is no longer.
const LONGEST_REQUEST: usize = 1_024;
const DEVICE: &str = "/dev/twin";

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct Gpsd {
    address: SocketAddr,
    running: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Gpsd {
    /// Starts it; port 0 is any free one.
    ///
    /// # Errors
    /// It cannot listen there, or the system has no thread for it.
    pub fn start(twin: Twin, listen: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (running, ended) = channel();
        let serve = move || serve(&twin, listener, address, &ended);
        let thread = std::thread::Builder::new().name("twin-gpsd".into()).spawn(serve)?;
        Ok(Self { address, running: Some(running), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Gpsd {
    fn drop(&mut self) {
        self.running = None;
        // A panic of that thread was reported by the panic hook; there is nothing left to end.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn serve(twin: &Twin, listener: TcpListener, address: SocketAddr, ended: &Receiver<()>) {
    let mut listener = Some(listener);
    let mut clients: Vec<Client> = vec![];
    while ended.recv_timeout(TURN) == Err(RecvTimeoutError::Timeout) {
        if twin.world().faults().any(|(_, fault)| *fault == Fault::GpsdGone) {
            listener = None;
            clients.clear();
            continue;
        }
        listener = listener.or_else(|| listen_again(address));
        while clients.len() < MOST_CLIENTS
            && let Some(Ok((stream, _))) = listener.as_ref().map(TcpListener::accept)
        {
            clients.extend(Client::welcome(stream));
        }
        // Whoever does not read what he is sent, or is gone, is no client any more.
        clients.retain_mut(|client| client.turn(twin).is_ok());
    }
}

fn listen_again(address: SocketAddr) -> Option<TcpListener> {
    let listener = TcpListener::bind(address).ok()?;
    listener.set_nonblocking(true).ok()?;
    Some(listener)
}

struct Client {
    stream: TcpStream,
    heard: Vec<u8>,
    watches: bool,
    /// Whether it wants the receiver's own sentences, too.
    nmea: bool,
    next: Instant,
}

impl Client {
    fn welcome(stream: TcpStream) -> Option<Self> {
        stream.set_nonblocking(true).ok()?;
        let mut client = Self { stream, heard: vec![], watches: false, nmea: false, next: Instant::ZERO };
        client.say(&version()).ok()?;
        Some(client)
    }

    /// Answers what was asked, and reports when it is time.
    fn turn(&mut self, twin: &Twin) -> io::Result<()> {
        self.hear()?;
        while let Some(end) = self.heard.iter().position(|byte| [b';', b'\n'].contains(byte)) {
            let request: Vec<u8> = self.heard.drain(..=end).collect();
            let request = String::from_utf8_lossy(&request[..end]).trim().to_string();
            if !request.is_empty() {
                self.answer(&request, twin)?;
            }
        }
        let now = Monotonic.now();
        if self.watches && now >= self.next {
            self.next = now.max(self.next + PERIOD);
            self.report(twin)?;
        }
        Ok(())
    }

    fn hear(&mut self) -> io::Result<()> {
        let mut bytes = [0; 256];
        match self.stream.read(&mut bytes) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) if self.heard.len() > LONGEST_REQUEST => Err(ErrorKind::InvalidData.into()),
            Ok(read) => {
                self.heard.extend_from_slice(&bytes[..read]);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn answer(&mut self, request: &str, twin: &Twin) -> io::Result<()> {
        let (word, argument) = request.split_once('=').unwrap_or((request, ""));
        match word {
            "?VERSION" => self.say(&version()),
            "?DEVICES" => self.say(&devices()),
            "?POLL" => {
                let fix = twin.world().fix();
                let poll =
                    json!({"class": "POLL", "active": 1, "tpv": [tpv(&fix)], "gst": [], "sky": [sky(&fix)]});
                self.say(&poll)
            }
            "?WATCH" => {
                let watch: Value = serde_json::from_str(argument).unwrap_or_default();
                self.watches = watch["enable"].as_bool().unwrap_or(self.watches);
                self.nmea = watch["nmea"].as_bool().unwrap_or(self.nmea);
                self.next = Monotonic.now();
                self.say(&devices())?;
                self.say(
                    &json!({"class": "WATCH", "enable": self.watches, "json": true, "nmea": self.nmea, "raw": 0}),
                )
            }
            _ => {
                let shown: String = word.chars().take(40).collect();
                self.say(&json!({"class": "ERROR", "message": format!("Unrecognized request '{shown}'")}))
            }
        }
    }

    fn report(&mut self, twin: &Twin) -> io::Result<()> {
        let world = twin.world();
        let fix = world.fix();
        let mad = world.faults().any(|(_, fault)| *fault == Fault::GpsdMad);
        drop(world);
        if mad {
            self.raw(NONSENSE)?;
            self.raw(&[b'x'; 20_000])?;
            self.raw(b"\r\n")?;
        }
        if let Some(time) = fix.time.filter(|_| self.nmea) {
            self.raw(zda(time).as_bytes())?;
        }
        self.say(&tpv(&fix))?;
        self.say(&sky(&fix))
    }

    fn say(&mut self, report: &Value) -> io::Result<()> {
        self.raw(format!("{report}\r\n").as_bytes())
    }

    /// Nobody is waited for: who does not read is dropped.
    fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }
}

/// What no client should stumble over: bytes that are no text, half a report, a class that nobody knows.
const NONSENSE: &[u8] =
    b"\x00\xff\xfe\r\n{\"class\":\"TPV\",\"mode\":3,\r\n{\"class\":\"MAD\",\"lat\":1}\r\n[]\r\n5\r\n";

fn version() -> Value {
    json!({"class": "VERSION", "release": "3.25", "rev": "twin", "proto_major": 3, "proto_minor": 15})
}

fn devices() -> Value {
    let device = json!({"class": "DEVICE", "path": DEVICE, "driver": "Twin", "flags": 1, "cycle": 1.0});
    json!({"class": "DEVICES", "devices": [device]})
}

/// Time, position, velocity; without a fix neither time nor place.
fn tpv(fix: &Fix) -> Value {
    let mut report =
        json!({"class": "TPV", "device": DEVICE, "mode": if fix.place.is_some() { 3 } else { 1 }});
    if let Some(time) = fix.time {
        report["time"] = time.rfc3339().into();
        report["ept"] = fix.time_error.map(|error| error.as_secs_f64()).into();
    }
    if let Some(Place { latitude, longitude, altitude_mm, error_mm, vertical_error_mm, .. }) = fix.place {
        let metres = |millimetres: i64| millimetres as f64 / 1e3;
        report["lat"] = (latitude.0 as f64 / 1e9).into();
        report["lon"] = (longitude.0 as f64 / 1e9).into();
        report["altHAE"] = altitude_mm.map(metres).into();
        report["eph"] = error_mm.map(metres).into();
        report["epv"] = vertical_error_mm.map(metres).into();
    }
    report
}

/// Time and date as receivers say them (NMEA 0183).
fn zda(time: Utc) -> String {
    let text = time.rfc3339();
    let [year, month, day] = [&text[..4], &text[5..7], &text[8..10]];
    let clock: String = text[11..22].chars().filter(|c| *c != ':').collect();
    let said = format!("GPZDA,{clock},{day},{month},{year},00,00");
    let sum = said.bytes().fold(0, |sum, byte| sum ^ byte);
    format!("${said}*{sum:02X}\r\n")
}

fn sky(fix: &Fix) -> Value {
    let seen = if fix.place.is_some() { 8 } else { 0 };
    let satellite = |n: u32| json!({"PRN": n, "el": 10 * n % 90, "az": 45 * n % 360, "ss": 40, "used": true});
    let satellites: Vec<_> = (1..=seen).map(satellite).collect();
    json!({"class": "SKY", "device": DEVICE, "nSat": seen, "uSat": seen, "hdop": 1.1, "satellites": satellites})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;
    use std::io::{BufRead, BufReader};
    use std::sync::Arc;

    fn twin() -> Twin {
        let settings = Settings::new(1, Settings::SMALL_FRAME, Utc::parse("2026-06-01T08:00:00Z").unwrap());
        Twin::new(Arc::new(Monotonic), settings)
    }

    fn connect(gpsd: &Gpsd) -> (TcpStream, impl Iterator<Item = Value>) {
        let stream = TcpStream::connect(gpsd.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap()).split(b'\n').map_while(Result::ok);
        (stream, lines.filter_map(|line| serde_json::from_slice(&line).ok()))
    }

    fn class(all: &mut impl Iterator<Item = Value>, class: &str) -> Value {
        all.find(|report| report["class"] == class).unwrap_or_else(|| panic!("no {class}"))
    }

    #[test]
    fn whoever_watches_is_told_where_the_ship_is() {
        let twin = twin();
        let gpsd = Gpsd::start(twin.clone(), "127.0.0.1:0".parse().unwrap()).unwrap();
        let (mut stream, mut reports) = connect(&gpsd);
        assert_eq!(class(&mut reports, "VERSION")["proto_major"], 3);
        stream.write_all(b"?WATCH={\"enable\":true,\"json\":true};\n").unwrap();
        assert_eq!(class(&mut reports, "WATCH")["enable"], true);
        let report = class(&mut reports, "TPV");
        assert_eq!(
            (&report["mode"], &report["lat"], &report["lon"]),
            (&json!(3), &json!(48.7273), &json!(-3.9814))
        );
        assert_eq!(class(&mut reports, "SKY")["uSat"], 8);
        twin.world().break_it(Fault::NoFix, Instant::ZERO, None);
        let blind = reports.find(|report| report["class"] == "TPV" && report["mode"] == 1).unwrap();
        assert!(blind["lat"].is_null() && blind["time"].is_null(), "{blind}");
    }

    #[test]
    fn a_sentence_says_date_and_time_with_its_sum() {
        let utc = Utc::parse("2015-04-13T20:26:40.000Z").unwrap();
        assert_eq!(zda(utc), "$GPZDA,202640.00,13,04,2015,00,00*64\r\n");
    }

    #[test]
    fn requests_are_answered_and_nonsense_is_an_error() {
        let gpsd = Gpsd::start(twin(), "127.0.0.1:0".parse().unwrap()).unwrap();
        let (mut stream, mut reports) = connect(&gpsd);
        stream.write_all(b"?DEVICES;?POLL;?DANCE;\n").unwrap();
        assert_eq!(class(&mut reports, "DEVICES")["devices"][0]["path"], DEVICE);
        assert_eq!(class(&mut reports, "POLL")["tpv"][0]["mode"], 3);
        assert!(class(&mut reports, "ERROR")["message"].as_str().unwrap().contains("?DANCE"));
    }

    #[test]
    fn when_it_is_gone_connections_close_and_when_it_is_back_they_open() {
        let twin = twin();
        let gpsd = Gpsd::start(twin.clone(), "127.0.0.1:0".parse().unwrap()).unwrap();
        let (_stream, reports) = connect(&gpsd);
        let spell = twin.world().break_it(Fault::GpsdGone, Instant::ZERO, None);
        assert!(reports.count() <= 1, "the connection closes");
        assert!(TcpStream::connect(gpsd.address()).is_err());
        twin.world().mend(spell);
        let back = (0..1_000).find_map(|_| {
            let pause = channel::<()>();
            // Nobody ever sends: this is the pause between two attempts.
            let _ = pause.1.recv_timeout(Duration::from_millis(10));
            TcpStream::connect(gpsd.address()).ok()
        });
        assert!(back.is_some());
    }
}
