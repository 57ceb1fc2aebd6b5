//! The program as it runs on an instrument: a broker or somebody else's, the gateway, the instrument, until it is
//! told to end. Everything outside the hardware threads lives on one thread here.

use crate::chrony::{self, Chrony};
use crate::eyepiece::Eyepiece;
use crate::gateway::{self, Gateway};
use crate::gpsd;
use crate::guard::Guarded;
use crate::instrument::{Config, Instrument, StartError};
use crate::metrics::{Metrics, Reading};
use crate::mqtt::broker::BrokerError;
use crate::mqtt::link::{self, State};
use crate::mqtt::outbox;
use crate::mqtt::{Address, Broker, Listen, Message, Outbox};
use crate::trouble::Troublemaker;
use crate::web::{self, Ask, Hub, Identity, Web, WebError, Wiring};
pub use planktor_actors::diag::Say;
use planktor_actors::outlet::Answers;
use planktor_actors::timing::Stage;
use planktor_actors::viewfinder::viewfinder;
use planktor_drivers::Clock;
use planktor_drivers::clock::Monotonic;
use planktor_protocol::Utc;
use planktor_protocol::instrument::{Answer, Event};
use planktor_protocol::wire;
use planktor_sim::{Fault, Twin};
use std::cell::{Cell, RefCell};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc};

/// Which broker.
#[derive(Clone, Debug)]
pub enum BrokerChoice {
    /// Our own.
    Embedded(Box<Listen>),
    /// Somebody else's.
    External(Address),
}

/// The program's name at a broker, for a machine of this name. It is the same after a crash: the broker then knows at once
/// that the one before is gone, and two programs for one instrument cannot be connected at once.
fn client_id(machine: &str) -> String {
    format!("planktor-{machine}")
}

/// The supervisor's own deadline for the end is 5 s.
const PATIENCE: Duration = Duration::from_secs(8);

/// Signals within this time are one.
const ONE_SIGNAL: Duration = Duration::from_secs(1);
/// A broker that is to go is gone so soon.
const LOOK_AT_BROKER: Duration = Duration::from_millis(100);

/// Everything around the instrument.
pub struct Options {
    /// Which broker.
    pub broker: BrokerChoice,
    /// A gpsd (`host:port`) to ask for the position.
    pub gpsd: Option<String>,
    /// A chrony to ask how well the computer's clock is kept.
    pub chrony: Option<Chrony>,
    /// Whether SIGTERM and SIGINT end it.
    pub signals: bool,
    /// Who watches.
    pub say: Say,
    /// Of a twin that may be broken on purpose.
    pub trouble: Option<Troublemaker>,
    /// The page, if there is to be one.
    pub web: Option<web::Options>,
    /// The guard of this program, which wants to hear that the hardware thread lives, and that everything is safe at the end.
    pub guarded: Option<Guarded>,
}

impl Options {
    /// An embedded broker on any free port of the loopback, and nothing else; for whoever runs a service within a program.
    pub fn alone() -> Self {
        Self {
            broker: BrokerChoice::Embedded(Box::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())),
            gpsd: None,
            chrony: None,
            signals: false,
            say: Arc::new(|_| {}),
            trouble: None,
            web: None,
            guarded: None,
        }
    }
}

/// Why it could not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// No broker.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// No page.
    #[error(transparent)]
    Web(#[from] WebError),
    /// No instrument.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The supervisor is gone.
    #[error(
        "the supervisor died; motors are off, the lamp may be on: switch it off; please report this with what was printed above"
    )]
    SupervisorDied,
    /// It was told to end, and did not.
    #[error("the instrument did not end within {} s; motors and lamp may be on: switch them off", PATIENCE.as_secs())]
    NoEnd,
    /// The outside thread is gone.
    #[error("the program's outside thread panicked; please report this with what was printed above")]
    OutsideDied,
}

/// A running service.
pub struct Service {
    outside: JoinHandle<Result<(), ServiceError>>,
    end: Arc<Notify>,
    broker: Arc<Mutex<Option<Broker>>>,
    address: Address,
    web: Option<Web>,
}

impl Service {
    /// Starts everything; returns when the instrument's threads run.
    ///
    /// # Errors
    /// What could not be started, and what to do.
    pub fn start(mut config: Config, mut options: Options) -> Result<Self, ServiceError> {
        let (broker, address) = match &options.broker {
            BrokerChoice::Embedded(listen) => {
                let broker = Broker::start((**listen).clone())?;
                let login = listen.door.as_ref().map(|(_, own)| own.clone());
                let port = broker.address().port();
                let address = Address { login, ..Address::plain(reachable(broker.address()), port) };
                (Some(broker), address)
            }
            BrokerChoice::External(address) => (None, address.clone()),
        };
        let (asks, asked) = web::asks();
        let desk = Desk { hub: Hub::default(), asked, metrics: config.metrics.clone() };
        let web =
            options.web.take().map(|options| open_page(options, &mut config, &desk, asks)).transpose()?;
        let broker = Arc::new(Mutex::new(broker));
        let end = Arc::new(Notify::new());
        let (started, start) = crossbeam_channel::bounded(1);
        let (to, ended, our_broker) = (address.clone(), end.clone(), broker.clone());
        let outside = std::thread::Builder::new().name("outside".into());
        let outside =
            outside.spawn(move || outside_thread(config, options, desk, to, &our_broker, &ended, &started));
        let outside = outside.map_err(StartError::Threads)?;
        match start.recv() {
            Ok(Ok(())) => Ok(Self { outside, end, broker, address, web }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(ServiceError::OutsideDied),
        }
    }

    /// How the program itself reaches the broker.
    pub fn broker(&self) -> &Address {
        &self.address
    }

    /// Where the embedded broker listens for websockets and for TLS.
    pub fn other_doors(&self) -> [Option<SocketAddr>; 2] {
        lock(&self.broker).as_ref().map_or([None; 2], |broker| [broker.websockets(), broker.tls()])
    }

    /// Where its page is.
    pub fn page(&self) -> Option<SocketAddr> {
        self.web.as_ref().map(Web::address)
    }

    /// Asks it to end: motors off, light off, `Dead` published.
    pub fn shut_down(&self) {
        self.end.notify_one();
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// If it did not end by itself but died.
    pub fn wait(self) -> Result<(), ServiceError> {
        let ended = self.outside.join().map_err(|_| ServiceError::OutsideDied)?;
        drop(self.web);
        drop(self.broker);
        ended
    }
}

/// What the outside thread has in common with the page.
struct Desk {
    hub: Hub,
    asked: mpsc::Receiver<Ask>,
    metrics: Metrics,
}

fn open_page(
    options: web::Options,
    config: &mut Config,
    desk: &Desk,
    asks: mpsc::Sender<Ask>,
) -> Result<Web, WebError> {
    let (viewfinder, frames) = viewfinder();
    config.viewfinder = viewfinder;
    let (hub, metrics) = (desk.hub.clone(), desk.metrics.clone());
    let eyepiece = Eyepiece::start(frames, metrics.clone()).map_err(WebError::Thread)?;
    let boot = uuid::Uuid::new_v4().simple().to_string();
    let (board, name) = (config.board_name, config.name.clone());
    let identity = Identity { board, name, began: Monotonic.now(), boot };
    Web::start(options, Wiring { hub, asks, eyepiece, metrics, data: config.data.clone(), identity })
}

/// Who listens everywhere is reached on the loopback.
fn reachable(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(a) if a.ip().is_unspecified() => "127.0.0.1".into(),
        SocketAddr::V6(a) if a.ip().is_unspecified() => "[::1]".into(),
        SocketAddr::V4(a) => a.ip().to_string(),
        SocketAddr::V6(a) => format!("[{}]", a.ip()),
    }
}

type Started = crossbeam_channel::Sender<Result<(), ServiceError>>;

fn outside_thread(
    mut config: Config,
    mut options: Options,
    desk: Desk,
    address: Address,
    broker: &Arc<Mutex<Option<Broker>>>,
    end: &Notify,
    started: &Started,
) -> Result<(), ServiceError> {
    let system = actix_rt::System::with_tokio_rt(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("the system has an epoll for us")
    });
    let (fix, tracking) = Default::default();
    let newest = Newest { fix, tracking, not_before: config.not_before };
    if options.gpsd.is_some() {
        let newest = newest.fix.clone();
        config.position = Some(Box::new(move || Box::new(newest)));
    }
    if options.chrony.is_some() {
        let newest = newest.tracking.clone();
        config.tracking = Some(Box::new(move || Box::new(newest)));
    }
    let pulse = options.guarded.as_ref().map(|guarded| guarded.pulse.clone());
    if let Some(pulse) = pulse.clone() {
        config.heart = Some(Box::new(move || pulse.beat()));
    }
    config.say = options.say.clone();
    let (journal, client_id) = (config.journal.clone(), client_id(&config.name));
    let (instrument, answers) = match Instrument::start(config) {
        Ok(both) => both,
        Err(error) => {
            // Whoever started us reports it.
            let _ = started.send(Err(error.into()));
            return Ok(());
        }
    };
    let _ = started.send(Ok(()));
    if let Some(scheduled) = &instrument.scheduled {
        (options.say)(&scheduled.to_string());
    }
    let trouble = options.trouble.take();
    let twin = trouble.as_ref().map(|trouble| trouble.twin().clone());
    let again = match &options.broker {
        BrokerChoice::Embedded(listen) => Some((**listen).clone()),
        BrokerChoice::External(_) => None,
    };
    let gateway = Gateway::new(instrument.gate.clone(), trouble, journal).counting(desk.metrics.clone());
    let gateway = RefCell::new(gateway);
    let ended = system.block_on(async {
        tokio::select! {
            ended = outside(&gateway, &answers, options, desk, (address, client_id), newest, end) => ended,
            never = broker_goes_and_comes(twin, again, broker) => never,
        }
    });
    if let (Ok(()), Some(pulse)) = (&ended, pulse) {
        pulse.farewell();
    }
    match ended {
        // Its threads hang: joining them would hang, too.
        Err(ServiceError::NoEnd) => std::mem::forget(instrument),
        _ => instrument.end(),
    }
    ended
}

/// What was last heard from the sky, and of the clock.
struct Newest {
    fix: gpsd::Newest,
    tracking: chrony::Newest,
    /// No receiver is believed that says less.
    not_before: Utc,
}

async fn outside(
    gateway: &RefCell<Gateway>,
    answers: &Answers,
    options: Options,
    desk: Desk,
    (broker, client_id): (Address, String),
    newest: Newest,
    end: &Notify,
) -> Result<(), ServiceError> {
    let outbox = Outbox::new();
    let Desk { hub, mut asked, metrics } = desk;
    let connected = Cell::new(false);
    let say = |line: &str| {
        hub.log(line);
        (options.say)(line);
    };
    let send_all = |messages: Vec<Message>| {
        for message in messages {
            hub.publish(&message);
            if let Err(error) = outbox.send(message) {
                say(&error.to_string());
            }
        }
    };
    if let Some(why) = options.guarded.as_ref().and_then(|guarded| guarded.again.as_ref()) {
        say(&format!("started again by its guard: {why}"));
    }
    send_all(gateway::ready());
    let link = link::serve(
        link::Options {
            broker: broker.clone(),
            client_id: client_id.clone(),
            subscriptions: wire::SUBSCRIPTIONS.map(Into::into).into(),
            hears_itself: false,
            will: gateway::last_will(),
        },
        outbox.clone(),
        |message| {
            let now = Monotonic.now();
            let answers = metrics.timed(Stage::Command, || gateway.borrow_mut().receive(&message, now));
            send_all(answers);
            if let Some(line) = gateway.borrow_mut().complaint(now) {
                say(&line);
            }
        },
        |state| match state {
            State::Connected => {
                connected.set(true);
                say("connected to the MQTT broker");
            }
            State::Disconnected { cause } => {
                connected.set(false);
                say(&cause.to_string());
            }
        },
    );
    let witnesses: Vec<_> = gateway::witnesses().into_iter().map(|will| (Outbox::new(), will)).collect();
    let witness = |(own, will): &(Outbox, Message)| {
        let client_id = format!("{client_id}-{}", will.topic.replace('/', "-"));
        let options = link::Options {
            broker: broker.clone(),
            client_id,
            subscriptions: vec![],
            hears_itself: false,
            will: will.clone(),
        };
        let outbox = outbox.clone();
        // What it leaves behind when its connection breaks is not true while the program lives.
        let renew = move |state| {
            if state == State::Connected {
                outbox.renew();
            }
        };
        link::serve(options, own.clone(), |_| {}, renew)
    };
    let watched = async {
        let [a, b, c] = [0, 1, 2].map(|n| witness(&witnesses[n]));
        tokio::join!(a, b, c);
    };
    let tell = async {
        let mut lost = 0;
        while let Some(answer) = answers.next().await {
            if answers.lost() > lost {
                lost = answers.lost();
                gateway.borrow_mut().forget();
                say(&format!("{lost} answers so far did not fit into the outlet: this thread is too slow"));
            }
            metrics.answered(&answer);
            watch(&answer, &say);
            send_all(gateway.borrow_mut().tell(&answer, Monotonic.now()));
            if answer.event == Event::Ended {
                return Ok(());
            }
        }
        Err(ServiceError::SupervisorDied)
    };
    let answer_the_page = async {
        while let Some(ask) = asked.recv().await {
            match ask {
                Ask::Command { message, answer } => {
                    let now = Monotonic.now();
                    send_all(
                        metrics.timed(Stage::Command, || gateway.borrow_mut().ask(&message, answer, now)),
                    );
                    if let Some(line) = gateway.borrow_mut().complaint(now) {
                        say(&line);
                    }
                }
                Ask::Reading(answer) => {
                    let (pending, most) = gateway.borrow().pending();
                    let queues =
                        vec![("commands", pending, most), ("outbox", outbox.waiting(), outbox::CAPACITY)];
                    let lost = vec![("outbox", outbox.dropped()), ("answers", answers.lost())];
                    // Whoever does not wait any more has gone.
                    let _ =
                        answer.send(Reading { queues, lost, broker: connected.get(), ..Reading::default() });
                }
            }
        }
        std::future::pending().await
    };
    let ask_to_end = async {
        tokio::select! {
            () = end.notified() => {}
            () = signalled(options.signals) => {}
        }
        gateway.borrow_mut().shut_down(Monotonic.now());
        // Asked twice, or for too long: not to hang is all that is left. What comes at once is one signal: a terminal sends it to
        // a whole group, and a parent passes it on.
        let again = async {
            tokio::time::sleep(ONE_SIGNAL).await;
            signalled(options.signals).await;
        };
        tokio::select! {
            () = tokio::time::sleep(PATIENCE) => {}
            () = again => {}
        }
        Err(ServiceError::NoEnd)
    };
    let follow_gpsd = async {
        if let Some(address) = options.gpsd.clone() {
            gpsd::follow(address, newest.not_before, |fix| newest.fix.put(fix), &say).await;
        }
        std::future::pending().await
    };
    let follow_chrony = async {
        if let Some(chrony) = options.chrony.clone() {
            chrony::follow(chrony, newest.tracking.clone(), &say).await;
        }
        std::future::pending().await
    };
    let told = async {
        let ended = tokio::select! {
            ended = tell => ended,
            no_end = ask_to_end => no_end,
            never = answer_the_page => never,
            never = follow_gpsd => never,
            never = follow_chrony => never,
        };
        if ended.is_err() {
            send_all(vec![gateway::last_will()]);
        }
        outbox.close();
        for (own, _) in &witnesses {
            own.close();
        }
        ended
    };
    let (ended, (), ()) = tokio::join!(told, link, watched);
    ended
}

/// Our own broker is away while the twin's world says so.
async fn broker_goes_and_comes(
    twin: Option<Twin>,
    listen: Option<Listen>,
    broker: &Arc<Mutex<Option<Broker>>>,
) -> Result<(), ServiceError> {
    let listens = || Some(lock(broker).as_ref()?.address());
    let (Some(twin), Some(listen), Some(mqtt)) = (twin, listen, listens()) else {
        return std::future::pending().await;
    };
    let listen = Listen { mqtt, ..listen };
    loop {
        tokio::time::sleep(LOOK_AT_BROKER).await;
        let gone = twin.world().faults().any(|(_, fault)| *fault == Fault::BrokerGone);
        if gone == listens().is_some() {
            let (broker, listen) = (broker.clone(), listen.clone());
            // Clients are told before it ends, which takes a while.
            let change = move || *lock(&broker) = if gone { None } else { Broker::start(listen).ok() };
            let _ = tokio::task::spawn_blocking(change).await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn signalled(listen: bool) {
    let (true, Ok(mut terminate), Ok(mut interrupt)) =
        (listen, signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// What somebody who looks at the log wants to know.
fn watch(answer: &Answer, say: &impl Fn(&str)) {
    if let Event::Health(device, health) = &answer.event {
        say(&format!("{device} {health}"));
    }
}
