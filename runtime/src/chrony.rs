//! Asks chrony how well the computer's clock is kept, for as long as the program runs. It may be absent, slow, or mad.

use planktor_drivers::chrony;
use planktor_drivers::clock::{Clock, Monotonic, TrackingSource};
use planktor_protocol::timekeeping::Tracking;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::timeout;

/// Between two questions: what chrony learns is that old anyway.
const PERIOD: Duration = Duration::from_secs(16);
/// Where there is none, it is asked as seldom as this.
const SELDOM: Duration = Duration::from_secs(300);
/// So many failures in a row are no hiccup.
const PATIENT: u32 = 3;
/// An answer takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which chrony.
#[derive(Clone, Debug, Default)]
pub struct Chrony {
    /// Its command socket; chronyc knows where it usually is.
    pub socket: Option<PathBuf>,
}

/// The newest answer; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Newest(Arc<Mutex<Option<Tracking>>>);

impl TrackingSource for Newest {
    fn latest(&mut self) -> Option<Tracking> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Asks again and again; `state` is told of each change, in words.
pub async fn follow(chrony: Chrony, newest: Newest, mut state: impl FnMut(&str)) {
    let (mut reported, mut failures) = (None, 0);
    loop {
        let (cause, pause) = match ask(&chrony).await {
            Ok(tracking) => {
                failures = 0;
                *newest.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(tracking);
                let nobody =
                    "nothing keeps the computer's clock right: chrony is not synchronised".to_string();
                (tracking.error.is_none().then_some(nobody), PERIOD)
            }
            Err(cause) => {
                failures += 1;
                let advice = "check that chrony is installed and runs";
                (
                    Some(format!(
                        "chrony does not say how well the computer's clock is kept: {cause}; {advice}"
                    )),
                    if failures > PATIENT { SELDOM } else { PERIOD },
                )
            }
        };
        if reported != cause {
            cause.iter().for_each(|cause| state(cause));
            reported = cause;
        }
        tokio::time::sleep(pause).await;
    }
}

/// Asks once.
///
/// # Errors
/// What happened instead of an answer.
pub async fn ask(chrony: &Chrony) -> Result<Tracking, String> {
    let mut chronyc = Command::new("chronyc");
    if let Some(socket) = &chrony.socket {
        chronyc.arg("-h").arg(socket);
    }
    chronyc
        .args(chrony::ASK)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let mut running = chronyc.spawn().map_err(|error| format!("chronyc cannot be started: {error}"))?;
    let stdout = running.stdout.take().ok_or("chronyc has no output")?;
    let mut answer = String::new();
    let longest = u64::try_from(chrony::LONGEST_ANSWER).unwrap_or(u64::MAX);
    let mut stdout = stdout.take(longest);
    let read = stdout.read_to_string(&mut answer);
    // Its end is waited for, too, or it would stay behind as a zombie; dropped, it is killed.
    let ended = async { read.await.and(running.wait().await) };
    match timeout(PATIENCE, ended).await {
        Err(_) => Err(format!("chronyc has not answered within {} s", PATIENCE.as_secs())),
        Ok(Err(error)) => Err(format!("chronyc's answer cannot be read: {error}")),
        Ok(Ok(_)) => {
            let error = chrony::error(&answer).map_err(|why| why.to_string())?;
            Ok(Tracking { at: Monotonic.now(), error })
        }
    }
}
