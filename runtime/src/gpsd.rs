//! Asks a gpsd for the position, over TCP, for as long as the program runs. It may be absent, slow, or mad.

use planktor_drivers::clock::{Clock, Monotonic};
use planktor_drivers::devices::position::PositionSource;
use planktor_drivers::gpsd;
use planktor_protocol::Utc;
use planktor_protocol::position::Fix;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// gpsd reports every second; who is silent for so long is gone.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(2);

/// The newest report; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Newest(Arc<Mutex<Option<Fix>>>);

impl PositionSource for Newest {
    fn latest(&mut self) -> Option<Fix> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Newest {
    /// A report came.
    pub fn put(&self, fix: Fix) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(fix);
    }
}

/// Follows the gpsd at `address` (`host:port`), and hears each of its reports. No receiver's time is believed that lies
/// before `not_before`. `state` is told of each change, in words.
pub async fn follow(
    address: String,
    not_before: Utc,
    mut heard: impl FnMut(Fix),
    mut state: impl FnMut(&str),
) {
    let mut reported = None;
    loop {
        let cause = match session(&address, not_before, &mut heard).await {
            Ok(()) => "it closed the connection".to_string(),
            Err(error) => error.to_string(),
        };
        if reported.as_ref() != Some(&cause) {
            state(&format!("no position from gpsd at {address}: {cause}; check that gpsd runs"));
            reported = Some(cause);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The best report within a while: with a place, if there is one.
///
/// # Errors
/// It cannot be asked, or reported nothing.
pub async fn heard(address: &str, not_before: Utc, during: Duration) -> io::Result<Fix> {
    let mut best: Option<Fix> = None;
    let mut hear = |fix: Fix| {
        if best.is_none_or(|best| best.place.is_none()) {
            best = Some(fix);
        }
    };
    let ended = timeout(during, session(address, not_before, &mut hear)).await;
    match (best, ended) {
        (Some(fix), _) => Ok(fix),
        (None, Ok(Err(error))) => Err(error),
        (None, Ok(Ok(())) | Err(_)) => Err(io::Error::new(io::ErrorKind::TimedOut, "it reported nothing")),
    }
}

async fn session(address: &str, not_before: Utc, heard: &mut impl FnMut(Fix)) -> io::Result<()> {
    let mut stream = timeout(PATIENCE, TcpStream::connect(address)).await??;
    stream.write_all(gpsd::WATCH.as_bytes()).await?;
    let mut lines = BufReader::new(stream);
    let mut reports = gpsd::Reports::new(not_before);
    let longest = u64::try_from(gpsd::LONGEST_LINE).unwrap_or(u64::MAX);
    loop {
        let mut line = Vec::new();
        let mut limited = (&mut lines).take(longest);
        let read = timeout(PATIENCE, limited.read_until(b'\n', &mut line)).await??;
        if read == 0 {
            return Ok(());
        }
        // What is longer than gpsd's own limit is cut here, is no JSON then, and is passed over.
        reports.read(&line, Monotonic.now()).into_iter().for_each(&mut *heard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use planktor_protocol::timekeeping::NOT_BEFORE;
    use std::io::Write;
    use std::net::TcpListener;

    #[test]
    fn a_report_between_noise_is_found() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap().to_string();
        let gpsd = std::thread::spawn(move || {
            let (mut client, _) = server.accept().unwrap();
            let mut asked = String::new();
            std::io::BufRead::read_line(&mut std::io::BufReader::new(&client), &mut asked).unwrap();
            assert_eq!(asked, gpsd::WATCH);
            client.write_all(b"{\"class\":\"VERSION\"}\n\xff\xfe\n{\"class\":\"TOFF\"}\n").unwrap();
            client.write_all(&vec![b'x'; 100_000]).unwrap();
            client.write_all(b"\n{\"class\":\"TPV\",\"mode\":2,\"lat\":48.7,\"lon\":-3.9}\n").unwrap();
        });
        let mut newest = Newest::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let heard = newest.clone();
        runtime.block_on(session(&address, NOT_BEFORE, &mut |fix| heard.put(fix))).unwrap();
        gpsd.join().unwrap();
        assert_eq!(newest.latest().unwrap().place.unwrap().latitude.0, 48_700_000_000);
        assert_eq!(newest.latest(), None, "each report is told once");
    }

    /// Between nonsense, from a gpsd that also goes away.
    #[test]
    fn the_twins_gpsd_is_followed_through_madness_and_absence() {
        use planktor_sim::gpsd::Gpsd;
        use planktor_sim::{Fault, Settings, Twin};
        let settings = Settings::new(1, Settings::SMALL_FRAME, Utc::parse("2026-06-01T08:00:00Z").unwrap());
        let twin = Twin::new(Arc::new(Monotonic), settings);
        twin.world().break_it(Fault::GpsdMad, Monotonic.now(), None);
        let server = Gpsd::start(twin.clone(), "127.0.0.1:0".parse().unwrap()).unwrap();
        let (address, mut newest) = (server.address().to_string(), Newest::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let following = newest.clone();
        let mut put = |fix| following.put(fix);
        let follow = async {
            tokio::select! {
                ended = session(&address, NOT_BEFORE, &mut put) => ended,
                () = async {
                    while following.0.lock().unwrap().is_none() {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    twin.world().break_it(Fault::GpsdGone, Monotonic.now(), None);
                    std::future::pending().await
                } => unreachable!("it waits for ever"),
            }
        };
        // Closed in the middle is an end like any other.
        let _ = runtime
            .block_on(async { timeout(PATIENCE, follow).await })
            .expect("it ends when the server goes");
        let fix = newest.latest().unwrap();
        assert_eq!(fix.place.unwrap().latitude.0, 48_727_300_000);
        assert!(fix.time.is_some(), "the receiver said its date before");
    }
}
