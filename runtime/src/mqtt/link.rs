//! The program as a client of an MQTT broker, its own or another.
//!
//! [`serve`] keeps one connection alive: it subscribes, hands over what arrives, and publishes what the [`Outbox`]
//! holds. It never gives up while the outbox is open, never waits for the broker without a limit, and never blocks
//! those who send. It never resumes a session: a command that was sent while the microscope was unreachable must not
//! start a motor later.
//!
//! Every connection has a new client and event loop, so that no state of a broken connection can disturb the next
//! one. What the event loop took from the outbox stays here until it is written (QoS 0) or acknowledged (QoS 1), and
//! goes back into the outbox when the connection breaks.
//!
//! No more is written than the broker surely reads: who waits until he can write does not read, and a broker that waits until
//! it can write to us would wait for ever. What is published with QoS 0 is not acknowledged; so the link takes back, from time
//! to time, a subscription that it never had ([`PROBE`]): the broker answers in order, and nobody else sees it.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, Filter, LastWill, LastWillProperties, Packet, Publish, PublishProperties, SubAck,
    SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions};
use rumqttc::{NetworkOptions, Outgoing, TlsConfiguration, Transport};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::mqtt::address::{Address, Login, Trust};
use crate::mqtt::message::{LARGEST_PACKET, Message};
use crate::mqtt::outbox::Outbox;

/// How often the broker hears from an idle link; it publishes the will after one and a half of these in silence.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// How long the broker may take for what it owes before the connection counts as broken.
const PATIENCE: Duration = KEEP_ALIVE.saturating_mul(3);
/// The pause after the first failed connection; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between connections; after a connection or an attempt that lasted longer, the first pause is
/// next.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long the broker may take to accept a connection, in seconds.
const CONNECT_LIMIT: u64 = 5;
/// How long the link may take to end after the outbox is closed.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);
/// How many messages the event loop holds at once.
const IN_FLIGHT: usize = 16;
/// How many packet identifiers the event loop may use: more than [`IN_FLIGHT`], so that none is used twice at once.
/// It reserves memory for each; its default of 65535 costs more than 10 MiB.
const PACKET_IDENTIFIERS: u16 = 64;
/// After so many bytes it is asked whether they were read, and no more are written meanwhile than so many again: little beside
/// what any system holds for two ends that do not read.
const UNREAD: usize = 32 * 1024;
/// What is asked.
const PROBE: &str = "planktor/link";

/// Which broker to connect to, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it is, and how to come in.
    pub broker: Address,
    /// Name of this client; the broker disconnects an earlier client of the same name.
    pub client_id: String,
    /// Topic filters to subscribe to.
    pub subscriptions: Vec<String>,
    /// Whether it hears what it published itself. Not the program: responses go to topics below its command topics
    /// and would come back as commands.
    pub hears_itself: bool,
    /// What the broker publishes for us if we disappear without a goodbye.
    pub will: Message,
}

/// Whether the program is in touch with the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The broker has confirmed all subscriptions.
    Connected,
    /// There is no connection; the link keeps trying.
    Disconnected {
        /// Why there is none.
        cause: LinkError,
    },
}

/// Why there is no connection to the broker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The connection cannot be made, or it broke.
    #[error("no connection to the MQTT broker at {broker}: {cause}; check its address and that it runs")]
    Unreachable {
        /// Host and port of the broker.
        broker: String,
        /// What the MQTT client says.
        cause: String,
    },
    /// A filter is wrong, or the broker does not let us subscribe.
    #[error(
        "the subscriptions {filters:?} are refused at the MQTT broker {broker}; correct the filters, or allow them in the broker's access list"
    )]
    SubscriptionRefused {
        /// Host and port of the broker.
        broker: String,
        /// The filters that it refuses.
        filters: Vec<String>,
    },
    /// The broker is connected but does not do its part.
    #[error(
        "the MQTT broker at {broker} owes an acknowledgement since {PATIENCE:?}; the connection is made anew"
    )]
    Unacknowledged {
        /// Host and port of the broker.
        broker: String,
    },
}

/// Connects to the broker, again and again, until the outbox is closed. Then it publishes what still waits, says
/// goodbye, and returns after 2 seconds at most; if the broker is too slow for that, it publishes the will.
///
/// One call per outbox. `incoming` gets each message that arrives and `state` each change; neither may block. A
/// retained message arrives again after every reconnection: do not take it for a command.
///
/// Dropping the future cuts the connection, as a crash does.
pub async fn serve(
    options: Options,
    outbox: Outbox,
    incoming: impl FnMut(Message),
    state: impl FnMut(State),
) {
    let flush_limit = async {
        outbox.closed().await;
        sleep(FLUSH_LIMIT).await;
    };
    let link = Link {
        mqtt: mqtt_options(&options),
        broker: options.broker.to_string(),
        subscriptions: options.subscriptions,
        hears_itself: options.hears_itself,
        patience: PATIENCE,
        outbox: outbox.clone(),
        incoming,
        state,
        reported: None,
    };
    tokio::select! {
        () = link.run() => {}
        () = flush_limit => {}
    }
}

struct Link<I, S> {
    mqtt: MqttOptions,
    broker: String,
    subscriptions: Vec<String>,
    hears_itself: bool,
    patience: Duration,
    outbox: Outbox,
    incoming: I,
    state: S,
    reported: Option<State>,
}

impl<I: FnMut(Message), S: FnMut(State)> Link<I, S> {
    async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let began = Instant::now();
            let Err(cause) = self.connection().await else {
                return;
            };
            self.report(State::Disconnected { cause });
            if self.outbox.is_closed() {
                return;
            }
            if began.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            // Closing ends the pause: there is one last attempt to publish what waits.
            let _ = timeout(pause, self.outbox.closed()).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    /// One connection, from its attempt to its end; `Ok` after a goodbye.
    async fn connection(&mut self) -> Result<(), LinkError> {
        // All in flight, the subscriptions, a question and a goodbye.
        let (client, mut events) = AsyncClient::new(self.mqtt.clone(), IN_FLIGHT + 3);
        let mut connection = Connection::new(client, self.outbox.clone(), self.patience);
        let end = loop {
            match connection.next(&mut events).await {
                Ok(event) => {
                    if let Err(error) = self.handle(&mut connection, event) {
                        break Err(error);
                    }
                }
                // The broker closes the connection after our goodbye.
                Err(_) if connection.said_goodbye => break Ok(()),
                Err(end) => break Err(self.explain(end)),
            }
        };
        // The event loop may have read, and even acknowledged, more than it had reported when the connection broke.
        for event in events.state.events.drain(..) {
            match event {
                Event::Incoming(Packet::Publish(publish)) => self.deliver(publish),
                Event::Incoming(Packet::PubAck(ack)) => connection.acknowledged(ack.pkid),
                _ => {}
            }
        }
        self.outbox.restore(connection.unfinished());
        end
    }

    fn handle(&mut self, connection: &mut Connection, event: Event) -> Result<(), LinkError> {
        match event {
            Event::Incoming(Packet::ConnAck(ack)) => {
                connection.accepted(&ack);
                self.subscribe(connection)?;
            }
            Event::Incoming(Packet::SubAck(ack)) => {
                self.check_subscriptions(&ack)?;
                self.ready(connection);
            }
            Event::Incoming(Packet::Publish(publish)) => self.deliver(publish),
            Event::Incoming(Packet::PubAck(ack)) => connection.acknowledged(ack.pkid),
            Event::Incoming(Packet::UnsubAck(_)) => connection.asked = None,
            Event::Outgoing(Outgoing::Publish(identifier)) => connection.written(identifier),
            Event::Outgoing(Outgoing::Disconnect) => connection.said_goodbye = true,
            _ => {}
        }
        Ok(())
    }

    fn subscribe(&mut self, connection: &mut Connection) -> Result<(), LinkError> {
        if self.subscriptions.is_empty() {
            self.ready(connection);
            return Ok(());
        }
        let filters = self.subscriptions.iter();
        let nolocal = !self.hears_itself;
        let filters =
            filters.map(|filter| Filter { nolocal, ..Filter::new(filter.clone(), QoS::AtLeastOnce) });
        // The queue of the event loop has room, since this is its first request: only the filters can be wrong.
        let request = connection.client.try_subscribe_many(filters);
        request.map_err(|_| self.refused(self.subscriptions.clone()))
    }

    fn check_subscriptions(&self, ack: &SubAck) -> Result<(), LinkError> {
        let answers = self.subscriptions.iter().zip(&ack.return_codes);
        let refused: Vec<_> = answers
            .filter(|(_, code)| !matches!(code, SubscribeReasonCode::Success(_)))
            .map(|(filter, _)| filter.clone())
            .collect();
        if refused.is_empty() {
            return Ok(());
        }
        Err(self.refused(refused))
    }

    fn ready(&mut self, connection: &mut Connection) {
        connection.subscribed = true;
        self.outbox.renew_retained();
        self.report(State::Connected);
    }

    fn deliver(&mut self, publish: Publish) {
        if let Some(message) = received(publish) {
            (self.incoming)(message);
        }
    }

    fn refused(&self, filters: Vec<String>) -> LinkError {
        LinkError::SubscriptionRefused { broker: self.broker.clone(), filters }
    }

    fn explain(&self, end: End) -> LinkError {
        let broker = self.broker.clone();
        match end {
            End::Broken(error) => LinkError::Unreachable { broker, cause: error.to_string() },
            End::Overdue => LinkError::Unacknowledged { broker },
        }
    }

    /// Reports changes only: an absent broker is one event, not one every five seconds.
    fn report(&mut self, state: State) {
        if self.reported.as_ref() != Some(&state) {
            self.reported = Some(state.clone());
            (self.state)(state);
        }
    }
}

/// How a connection ends without a goodbye.
enum End {
    Broken(Box<ConnectionError>),
    Overdue,
}

/// What the link knows of its current connection.
struct Connection {
    client: AsyncClient,
    outbox: Outbox,
    patience: Duration,
    /// The largest packet that the broker takes.
    largest: usize,
    /// Whether the subscriptions are confirmed; nothing is published before, so that no reply to it is missed.
    subscribed: bool,
    /// Whether the goodbye is on its way, and whether it was written.
    leaving: bool,
    said_goodbye: bool,
    in_flight: VecDeque<InFlight>,
    /// Bytes that were handed over since it was last asked whether the broker has read them.
    unread: usize,
    /// Since when that is to be answered.
    asked: Option<Instant>,
    /// When something last happened as it should.
    alive: Instant,
}

/// A message that the event loop has taken.
struct InFlight {
    message: Arc<Message>,
    since: Instant,
    /// The packet identifier under which it was written and awaits its acknowledgement.
    identifier: Option<u16>,
}

impl Connection {
    fn new(client: AsyncClient, outbox: Outbox, patience: Duration) -> Self {
        Self {
            client,
            outbox,
            patience,
            largest: LARGEST_PACKET,
            subscribed: false,
            leaving: false,
            said_goodbye: false,
            in_flight: VecDeque::with_capacity(IN_FLIGHT),
            unread: 0,
            asked: None,
            alive: Instant::now(),
        }
    }

    /// The next event; meanwhile, what arrives in the outbox is handed over.
    async fn next(&mut self, events: &mut EventLoop) -> Result<Event, End> {
        // One poll at a time, never dropped half-way: it may have written half a packet.
        let mut poll = pin!(events.poll());
        loop {
            self.hand_over();
            tokio::select! {
                event = &mut poll => {
                    if self.subscribed {
                        self.alive = Instant::now();
                    }
                    return event.map_err(|error| End::Broken(Box::new(error)));
                }
                () = self.outbox.changed(), if self.has_room() => {}
                () = sleep_until(self.deadline()) => return Err(End::Overdue),
            }
        }
    }

    /// When the connection counts as broken. The event loop's own pings do not tell: it sends none while it cannot
    /// write, and a broker that answers pings may still owe acknowledgements.
    fn deadline(&self) -> Instant {
        let owed = self.in_flight.front().map(|m| m.since).into_iter().chain(self.asked);
        owed.min().unwrap_or(self.alive) + self.patience
    }

    fn accepted(&mut self, ack: &ConnAck) {
        let limit = ack.properties.as_ref().and_then(|p| p.max_packet_size);
        self.largest = limit.map_or(LARGEST_PACKET, |limit| limit as usize);
    }

    fn has_room(&self) -> bool {
        self.subscribed && !self.leaving && self.in_flight.len() < IN_FLIGHT && self.unread < UNREAD
    }

    /// Gives messages to the event loop; says goodbye after the last one of a closed outbox.
    fn hand_over(&mut self) {
        while self.has_room() {
            let Some(message) = self.outbox.take(self.largest) else {
                break;
            };
            self.publish(message);
        }
        let is_due = self.unread >= UNREAD && self.asked.is_none();
        if is_due && self.client.try_unsubscribe(PROBE).is_ok() {
            (self.asked, self.unread) = (Some(Instant::now()), 0);
        }
        if self.has_room() && self.in_flight.is_empty() && self.outbox.is_closed() {
            self.leaving = self.client.try_disconnect().is_ok();
        }
    }

    fn publish(&mut self, message: Arc<Message>) {
        // Its queue has room for all in flight, and the outbox has checked the topic.
        let _ = self.client.try_publish_with_properties(
            &message.topic,
            quality(&message),
            message.retain,
            message.payload.clone(),
            PublishProperties {
                response_topic: message.response_topic.clone(),
                correlation_data: message.correlation.clone().map(Into::into),
                ..PublishProperties::default()
            },
        );
        self.unread += message.packet_bound();
        self.in_flight.push_back(InFlight { message, since: Instant::now(), identifier: None });
    }

    /// The event loop writes in the order in which it was given the messages; identifier 0 means QoS 0.
    fn written(&mut self, identifier: u16) {
        let next = self.in_flight.iter().position(|m| m.identifier.is_none());
        if let Some(next) = next {
            if identifier == 0 {
                self.in_flight.remove(next);
            } else {
                self.in_flight[next].identifier = Some(identifier);
            }
        }
    }

    fn acknowledged(&mut self, identifier: u16) {
        self.in_flight.retain(|message| message.identifier != Some(identifier));
    }

    fn unfinished(self) -> impl DoubleEndedIterator<Item = Arc<Message>> {
        self.in_flight.into_iter().map(|m| m.message)
    }
}

fn mqtt_options(options: &Options) -> MqttOptions {
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    let Address { host, port, tls, login } = &options.broker;
    let mut mqtt = MqttOptions::new(&options.client_id, host, *port);
    if let Some(Login { name, password }) = login {
        mqtt.set_credentials(name, password);
    }
    if let Some(trust) = tls {
        // Whoever came first has installed the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        mqtt.set_transport(Transport::tls_with_config(match trust {
            Trust::System => TlsConfiguration::default(),
            // A file that is gone is found out when the connection is made.
            Trust::Authority(path) => TlsConfiguration::Simple {
                ca: std::fs::read(path).unwrap_or_default(),
                alpn: None,
                client_auth: None,
            },
        }));
    }
    mqtt.set_keep_alive(KEEP_ALIVE)
        .set_connection_timeout(CONNECT_LIMIT)
        .set_clean_start(true)
        .set_max_packet_size(u32::try_from(LARGEST_PACKET).ok())
        .set_outgoing_inflight_upper_limit(PACKET_IDENTIFIERS)
        .set_network_options(network)
        .set_last_will(last_will(&options.will));
    mqtt
}

fn last_will(will: &Message) -> LastWill {
    let properties = LastWillProperties {
        delay_interval: None,
        payload_format_indicator: None,
        message_expiry_interval: None,
        content_type: None,
        response_topic: will.response_topic.clone(),
        correlation_data: will.correlation.clone().map(Into::into),
        user_properties: Vec::new(),
    };
    LastWill::new(&will.topic, will.payload.clone(), quality(will), will.retain, Some(properties))
}

fn quality(message: &Message) -> QoS {
    if message.at_least_once { QoS::AtLeastOnce } else { QoS::AtMostOnce }
}

/// `None` if the topic is not text, which no conforming broker sends.
fn received(publish: Publish) -> Option<Message> {
    let properties = publish.properties.unwrap_or_default();
    Some(Message {
        topic: String::from_utf8(publish.topic.into()).ok()?,
        payload: publish.payload.into(),
        retain: publish.retain,
        at_least_once: publish.qos != QoS::AtMostOnce,
        response_topic: properties.response_topic,
        correlation: properties.correlation_data.map(Into::into),
        spare: false,
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    const SUBSCRIBE: u8 = 0x82;
    const PUBLISH_QOS_1: u8 = 0x32;

    /// Reads packets up to one with this first byte; returns what follows the length.
    fn read_until(stream: &mut TcpStream, wanted: u8) -> Vec<u8> {
        loop {
            let mut header = [0; 2];
            stream.read_exact(&mut header).unwrap();
            assert!(header[1] < 0x80, "the packets of this test are short");
            let mut body = vec![0; header[1].into()];
            stream.read_exact(&mut body).unwrap();
            if header[0] == wanted {
                return body;
            }
        }
    }

    fn options(port: u16) -> Options {
        Options {
            broker: Address::plain("127.0.0.1", port),
            client_id: "link".into(),
            subscriptions: vec!["command".into()],
            hears_itself: false,
            will: Message::default(),
        }
    }

    /// Takes a connection and its subscription; returns the stream and the body of the first publication.
    fn first_publication(listener: &TcpListener) -> (TcpStream, Vec<u8>) {
        let mut stream = subscribed(listener);
        let publication = read_until(&mut stream, PUBLISH_QOS_1);
        (stream, publication)
    }

    /// Takes a connection and its subscription.
    fn subscribed(listener: &TcpListener) -> TcpStream {
        let (mut stream, _) = listener.accept().unwrap();
        let limit = Some(Duration::from_secs(10));
        stream.set_read_timeout(limit).unwrap();
        stream.set_write_timeout(limit).unwrap();
        read_until(&mut stream, 0x10);
        stream.write_all(&[0x20, 3, 0, 0, 0]).unwrap();
        let subscribe = read_until(&mut stream, SUBSCRIBE);
        stream.write_all(&[0x90, 4, subscribe[0], subscribe[1], 0, 1]).unwrap();
        stream
    }

    /// Both have more to say than anything between them holds.
    #[tokio::test]
    async fn a_broker_that_writes_and_does_not_read_meanwhile_is_heard() {
        const COMMANDS: usize = 100_000;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let broker = std::thread::spawn(move || {
            let mut stream = subscribed(&listener);
            let command = [&[0x30, 100, 0, 7], &b"command"[..], &[0], &[b'x'; 90]].concat();
            stream.write_all(&command.repeat(COMMANDS)).map(|()| stream)
        });
        let options = options(port);
        let outbox = Outbox::new();
        for _ in 0..crate::mqtt::outbox::CAPACITY {
            outbox
                .send(Message { topic: "s".into(), payload: vec![0; 32 << 10], ..Message::default() })
                .unwrap();
        }
        let (mut heard, all) = (0, tokio::sync::Notify::new());
        let incoming = |_| {
            heard += 1;
            if heard == COMMANDS {
                all.notify_one();
            }
        };
        tokio::select! {
            () = serve(options, outbox, incoming, |_| {}) => panic!("it has ended"),
            all = timeout(Duration::from_secs(20), all.notified()) => all.unwrap(),
        }
        broker.join().unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_broker_that_does_not_acknowledge_gets_the_message_again_on_a_new_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let broker = std::thread::spawn(move || {
            let (_silent, first) = first_publication(&listener);
            let (mut stream, second) = first_publication(&listener);
            let identifier = 2 + usize::from(second[1]);
            let ack = [0x40, 2, second[identifier], second[identifier + 1]];
            stream.write_all(&ack).unwrap();
            read_until(&mut stream, 0xe0);
            (first, second)
        });

        let options = options(port);
        let outbox = Outbox::new();
        let reply = Message { topic: "reply".into(), at_least_once: true, ..Message::default() };
        outbox.send(reply).unwrap();
        let mut states = Vec::new();
        let closer = outbox.clone();
        let link = Link {
            mqtt: mqtt_options(&options),
            broker: "test".into(),
            subscriptions: options.subscriptions,
            hears_itself: false,
            patience: Duration::from_secs(1),
            outbox,
            incoming: |_| {},
            state: |state| {
                if states.len() == 2 {
                    closer.close();
                }
                states.push(state);
            },
            reported: None,
        };
        timeout(Duration::from_secs(20), link.run()).await.unwrap();

        let (first, second) = broker.join().unwrap();
        assert_eq!(first, second);
        let silent = LinkError::Unacknowledged { broker: "test".into() };
        let disconnected = State::Disconnected { cause: silent };
        assert_eq!(states, [State::Connected, disconnected, State::Connected]);
    }
}
