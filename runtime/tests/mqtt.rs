//! The link and the embedded broker over real sockets, with other clients and another broker.
//!
//! Every wait is for an event and has a deadline; nothing sleeps.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use planktor_runtime::mqtt::Address;
use planktor_runtime::mqtt::broker::Broker;
use planktor_runtime::mqtt::link::{Options, State, serve};
use planktor_runtime::mqtt::message::Message;
use planktor_runtime::mqtt::outbox::Outbox;
use tokio::net::TcpSocket;
use tokio::sync::oneshot;

const DEADLINE: Duration = Duration::from_secs(20);

/// A link on a thread of its own.
struct TestLink {
    outbox: Outbox,
    incoming: Receiver<Message>,
    states: Receiver<State>,
    crash: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl TestLink {
    fn start(port: u16, client_id: &str, subscriptions: &[&str]) -> Self {
        let options = Options {
            broker: Address::plain("127.0.0.1", port),
            client_id: client_id.into(),
            subscriptions: subscriptions.iter().map(ToString::to_string).collect(),
            hears_itself: client_id != "deaf to itself",
            will: message(&format!("will/{client_id}"), "gone"),
        };
        let (arrived, incoming) = channel();
        let (changed, states) = channel();
        let (crash, crashed) = oneshot::channel();
        let outbox = Outbox::new();
        let queue = outbox.clone();
        let thread = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
                tokio::select! {
                    () = serve(options, queue, forward(arrived), forward(changed)) => {}
                    Ok(()) = crashed => {}
                }
            });
        });
        Self { outbox, incoming, states, crash, thread }
    }

    fn connected(port: u16, client_id: &str, subscriptions: &[&str]) -> Self {
        let link = Self::start(port, client_id, subscriptions);
        link.await_connected();
        link
    }

    fn await_connected(&self) {
        while self.states.recv_timeout(DEADLINE).unwrap() != State::Connected {}
    }

    fn await_disconnected(&self) {
        while self.states.recv_timeout(DEADLINE).unwrap() == State::Connected {}
    }

    fn send(&self, message: Message) {
        self.outbox.send(message).unwrap();
    }

    fn receive(&self) -> Message {
        self.incoming.recv_timeout(DEADLINE).unwrap()
    }

    fn close(self) {
        self.outbox.close();
        self.thread.join().unwrap();
    }

    fn crash(self) {
        self.crash.send(()).unwrap();
        self.thread.join().unwrap();
    }
}

fn forward<T>(channel: Sender<T>) -> impl FnMut(T) {
    move |item| {
        let _ = channel.send(item);
    }
}

fn broker() -> Broker {
    Broker::start(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap()
}

/// A free port on which nothing listens. While it is held, no other socket gets it by chance, but a broker that asks
/// for it does.
struct Port(TcpSocket);

impl Port {
    fn reserve() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        Self(socket)
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    fn number(&self) -> u16 {
        self.address().port()
    }
}

fn message(topic: &str, payload: impl Into<Vec<u8>>) -> Message {
    Message { topic: topic.into(), payload: payload.into(), ..Message::default() }
}

fn reliable(topic: &str, payload: impl Into<Vec<u8>>) -> Message {
    Message { at_least_once: true, ..message(topic, payload) }
}

fn retained(topic: &str, payload: impl Into<Vec<u8>>) -> Message {
    Message { retain: true, ..message(topic, payload) }
}

#[test]
fn messages_pass_in_order_with_both_qualities() {
    let broker = broker();
    let port = broker.address().port();
    let observer = TestLink::connected(port, "observer", &["status/#"]);
    let link = TestLink::connected(port, "link", &[]);
    for number in 0..500 {
        link.send(message("status/imager", number.to_string()));
        link.send(reliable("status/pump", number.to_string()));
    }
    // MQTT keeps the order within one topic and quality of service only.
    let all: Vec<_> = (0..1000).map(|_| observer.receive()).collect();
    for topic in ["status/imager", "status/pump"] {
        let payloads = all.iter().filter(|m| m.topic == topic);
        let expected = (0..500).map(|number| number.to_string().into_bytes());
        assert!(payloads.map(|m| m.payload.clone()).eq(expected));
    }
    assert_eq!(link.outbox.dropped(), 0);
}

#[test]
fn a_response_below_its_own_command_topic_does_not_come_back_as_a_command() {
    let broker = broker();
    let port = broker.address().port();
    let observer = TestLink::connected(port, "observer", &["imager/image/#"]);
    let link = TestLink::connected(port, "deaf to itself", &["imager/image/#"]);
    link.send(message("imager/image/7/response", "{}"));
    assert_eq!(observer.receive().topic, "imager/image/7/response");
    observer.send(message("imager/image", "a command"));
    assert_eq!(link.receive().payload, b"a command");
}

#[test]
fn clients_of_both_protocol_versions_share_the_port() {
    use rumqttc::{Client, Event, MqttOptions, Packet, QoS};

    let broker = broker();
    let port = broker.address().port();
    let (old, mut events) = Client::new(MqttOptions::new("old", "127.0.0.1", port), 10);
    old.subscribe("status/#", QoS::AtLeastOnce).unwrap();
    let mut next = || loop {
        match events.recv_timeout(DEADLINE).unwrap().unwrap() {
            Event::Incoming(Packet::Publish(publish)) => return Some(publish),
            Event::Incoming(Packet::SubAck(_)) => return None,
            _ => {}
        }
    };
    assert!(next().is_none());

    let link = TestLink::connected(port, "link", &["actuator/#"]);
    link.send(reliable("status/pump", "Started"));
    let publish = next().unwrap();
    assert_eq!(publish.topic, "status/pump");
    assert_eq!(&publish.payload[..], b"Started");

    old.publish("actuator/pump", QoS::AtMostOnce, false, "stop").unwrap();
    let driver = std::thread::spawn(move || {
        for event in events.iter() {
            if event.is_err() {
                break;
            }
        }
    });
    assert_eq!(link.receive(), message("actuator/pump", "stop"));
    old.disconnect().unwrap();
    driver.join().unwrap();
}

#[test]
fn retained_state_reaches_a_late_subscriber() {
    let broker = broker();
    let port = broker.address().port();
    let link = TestLink::connected(port, "link", &["status/#"]);
    link.send(retained("status/pump", "Started"));
    link.send(retained("status/pump", "Idle"));
    assert_eq!(link.receive().payload, b"Started");
    assert_eq!(link.receive().payload, b"Idle");

    let late = TestLink::connected(port, "late", &["status/pump"]);
    assert_eq!(late.receive(), retained("status/pump", "Idle"));
}

#[test]
fn requests_carry_response_topic_and_correlation_data() {
    let broker = broker();
    let port = broker.address().port();
    let link = TestLink::connected(port, "link", &["actuator/#"]);
    let asker = TestLink::connected(port, "asker", &["actuator/pump/7/response"]);
    let request = Message {
        response_topic: Some("actuator/pump/7/response".into()),
        correlation: Some(vec![0, 1, 255]),
        ..reliable("actuator/pump", "move")
    };
    asker.send(request.clone());
    let command = link.receive();
    assert_eq!(command, request);

    let reply =
        Message { correlation: command.correlation, ..reliable(&command.response_topic.unwrap(), "{}") };
    link.send(reply.clone());
    assert_eq!(asker.receive(), reply);
}

#[test]
fn a_broker_may_start_later() {
    let port = Port::reserve();
    let link = TestLink::start(port.number(), "link", &["status/#"]);
    link.await_disconnected();
    link.send(retained("status/pump", "Idle"));
    link.send(message("status/imager", "Done"));

    let broker = Broker::start(port.address()).unwrap();
    link.await_connected();
    // The link's own subscription is confirmed first, so the retained message is news.
    assert_eq!(link.receive(), message("status/pump", "Idle"));
    assert_eq!(link.receive(), message("status/imager", "Done"));
    drop(broker);
}

#[test]
fn messages_survive_a_restart_of_the_broker_in_order() {
    let port = Port::reserve();
    let broker = Broker::start(port.address()).unwrap();
    let link = TestLink::connected(port.number(), "link", &["status/#"]);
    link.send(retained("status/light", "On"));
    assert_eq!(link.receive().payload, b"On");

    broker.shutdown();
    link.await_disconnected();
    for number in 0..100 {
        link.send(reliable("status/pump", number.to_string()));
    }
    let broker = Broker::start(port.address()).unwrap();
    link.await_connected();
    let all: Vec<_> = (0..101).map(|_| link.receive()).collect();
    let pump = all.iter().filter(|m| m.topic == "status/pump");
    let expected = (0..100).map(|number| number.to_string().into_bytes());
    assert!(pump.map(|m| m.payload.clone()).eq(expected));

    // The new broker knows the state from before the restart.
    let late = TestLink::connected(broker.address().port(), "late", &["status/light"]);
    assert_eq!(late.receive(), retained("status/light", "On"));
}

#[test]
fn the_will_is_published_after_a_crash_and_not_after_a_goodbye() {
    let broker = broker();
    let port = broker.address().port();
    let observer = TestLink::connected(port, "observer", &["will/#", "end"]);
    TestLink::connected(port, "polite", &[]).close();
    TestLink::connected(port, "crashing", &[]).crash();
    assert_eq!(observer.receive(), message("will/crashing", "gone"));
    observer.send(message("end", ""));
    assert_eq!(observer.receive().topic, "end");
}

#[test]
fn closing_publishes_what_waits() {
    let broker = broker();
    let port = broker.address().port();
    let observer = TestLink::connected(port, "observer", &["status/#"]);
    let link = TestLink::connected(port, "link", &[]);
    for number in 0..300 {
        link.send(reliable("status/pump", number.to_string()));
    }
    link.close();
    for number in 0..300 {
        assert_eq!(observer.receive().payload, number.to_string().into_bytes());
    }
}

#[test]
fn closing_ends_without_a_broker() {
    let port = Port::reserve();
    let link = TestLink::start(port.number(), "link", &["status/#"]);
    link.send(message("status/pump", "Idle"));
    link.await_disconnected();
    link.close();
}

/// An MQTT 3.1.1 client, which knows no packet limit, publishes 1 MiB.
fn publish_too_much(port: u16) {
    use rumqttc::{Client, MqttOptions, QoS};

    let mut options = MqttOptions::new("careless", "127.0.0.1", port);
    options.set_max_packet_size(2 << 20, 2 << 20);
    let (client, mut events) = Client::new(options, 10);
    client.publish("actuator/pump", QoS::AtMostOnce, false, vec![b'x'; 1 << 20]).unwrap();
    client.disconnect().unwrap();
    while let Ok(Ok(_)) = events.recv_timeout(DEADLINE) {}
}

#[test]
fn large_payloads_arrive_and_too_large_ones_do_no_harm() {
    let broker = broker();
    let port = broker.address().port();
    let link = TestLink::connected(port, "link", &["actuator/#"]);
    let other = TestLink::connected(port, "other", &[]);
    other.send(message("actuator/pump", vec![b'x'; 200 * 1024]));
    assert_eq!(link.receive().payload.len(), 200 * 1024);

    publish_too_much(port);
    assert!(other.outbox.send(message("actuator/pump", vec![b'x'; 1 << 20])).is_err());
    other.send(message("actuator/pump", "stop"));
    assert_eq!(link.receive(), message("actuator/pump", "stop"));
    assert!(link.states.try_recv().is_err(), "the link was disturbed");
}

/// A mosquitto with a configuration of its own, stopped when dropped.
struct Mosquitto {
    process: Child,
    port: Port,
}

impl Mosquitto {
    fn start() -> Self {
        let port = Port::reserve();
        let number = port.number();
        let mut config = format!("listener {number} 127.0.0.1\nallow_anonymous true\n");
        writeln!(config, "persistence false\nlog_dest stderr").unwrap();
        let file = std::env::temp_dir().join(format!("mosquitto-{number}.conf"));
        std::fs::write(&file, config).unwrap();
        let mut process = Command::new("mosquitto")
            .arg("-c")
            .arg(&file)
            .stderr(Stdio::piped())
            .spawn()
            .expect("this test needs mosquitto: apt-get install mosquitto");
        let log = process.stderr.take().unwrap();
        let (line_read, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                let _ = line_read.send(line);
            }
        });
        while !lines.recv_timeout(DEADLINE).unwrap().contains("running") {}
        std::fs::remove_file(file).unwrap();
        Self { process, port }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_link_works_with_mosquitto() {
    let mosquitto = Mosquitto::start();
    let port = mosquitto.port.number();
    let observer = TestLink::connected(port, "observer", &["status/#", "will/#"]);
    let link = TestLink::connected(port, "link", &["actuator/#"]);
    for number in 0..500 {
        link.send(reliable("status/pump", number.to_string()));
    }
    for number in 0..500 {
        assert_eq!(observer.receive().payload, number.to_string().into_bytes());
    }

    // Mosquitto takes any size, and must not forward what the link cannot take.
    publish_too_much(port);
    let request = Message {
        response_topic: Some("status/reply".into()),
        correlation: Some(vec![1, 2]),
        ..reliable("actuator/pump", vec![b'x'; 200 * 1024])
    };
    observer.send(request.clone());
    assert_eq!(link.receive(), request);
    assert!(link.states.try_recv().is_err(), "the link was disturbed");

    TestLink::connected(port, "polite", &[]).close();
    link.crash();
    assert_eq!(observer.receive(), message("will/link", "gone"));
    drop(mosquitto);
    observer.await_disconnected();
}
