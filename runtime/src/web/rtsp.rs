//! The live picture as an RTSP stream: an encoder process (ffmpeg) takes JPEGs and pushes H.264 to an RTSP server, where the
//! pages of today's PlanktoScopes look for it.

use crate::eyepiece::{Eyepiece, View};
use axum::body::Bytes;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// Pictures a second that the stream has, however many the camera gives: the last one is shown again.
const RATE: u32 = 10;
/// A picture is taken up by the encoder within this time, or it hangs.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);
/// Before it is started again; doubled each time.
const BACK_OFF: Duration = Duration::from_secs(1);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(30);
/// One that ran for so long was well.
const WELL: Duration = Duration::from_secs(60);
/// Characters of what the encoder says that are told.
const MOST_SAID: usize = 200;

/// H.264 baseline with a key frame every 30 frames and headers repeated, as today's controller pushes it.
fn encoder(url: &str) -> Command {
    let mut command = Command::new("ffmpeg");
    let input =
        ["-hide_banner", "-loglevel", "error", "-f", "mjpeg", "-use_wallclock_as_timestamps", "1", "-i", "-"];
    let video =
        ["-an", "-c:v", "libx264", "-profile:v", "baseline", "-preset", "ultrafast", "-tune", "zerolatency"];
    let form = ["-pix_fmt", "yuv420p", "-vf", "scale=trunc(iw/2)*2:trunc(ih/2)*2", "-g", "30", "-bf", "0"];
    let output = ["-x264-params", "repeat-headers=1", "-f", "rtsp", "-rtsp_transport", "tcp"];
    command.args(input).args(video).args(form).args(output).arg(url);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// For ever: starts the encoder again, within limits, whenever it ends.
pub(super) async fn push(url: &str, eyepiece: &Eyepiece, say: impl Fn(&str)) {
    let mut back_off = BACK_OFF;
    let shown = without_login(url);
    loop {
        let begun = Instant::now();
        let why = match encoder(url).spawn() {
            Ok(mut process) => run(&mut process, eyepiece).await,
            Err(why) => format!("ffmpeg cannot be started: {why}; install it"),
        };
        if begun.elapsed() > WELL {
            back_off = BACK_OFF;
        }
        let why = why.replace(url, &shown);
        say(&format!("no RTSP stream to {shown}: {why}; it is tried again in {} s", back_off.as_secs()));
        sleep(back_off).await;
        back_off = (back_off * 2).min(LONGEST_BACK_OFF);
    }
}

/// What may be said of an address: everybody who may look reads the log.
fn without_login(url: &str) -> String {
    match url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?.1))) {
        Some((scheme, place)) => format!("{scheme}://{place}"),
        None => url.into(),
    }
}

/// Until it ends; says why.
async fn run(process: &mut Child, eyepiece: &Eyepiece) -> String {
    let said = BufReader::new(process.stderr.take().expect("it is piped"));
    let fed = feed(process, eyepiece);
    let heard = async {
        let mut lines = said.lines();
        let mut last = None;
        while let Ok(Some(line)) = lines.next_line().await {
            last = Some(line.chars().take(MOST_SAID).collect::<String>());
        }
        last.unwrap_or_else(|| "the encoder ended".into())
    };
    tokio::pin!(heard);
    tokio::select! {
        why = fed => timeout(Duration::from_secs(1), &mut heard).await.unwrap_or(why),
        why = &mut heard => why,
    }
}

async fn feed(process: &mut Child, eyepiece: &Eyepiece) -> String {
    let mut to = process.stdin.take().expect("it is piped");
    let mut viewer = match eyepiece.viewer(View::Whole) {
        Ok(viewer) => viewer,
        Err(crowded) => return crowded.to_string(),
    };
    let mut last: Option<Bytes> = None;
    let mut next = Instant::now();
    loop {
        next = (next + Duration::from_secs(1) / RATE).max(Instant::now());
        match timeout_at(next, viewer.next()).await {
            Ok(Some(shot)) => last = Some(shot.jpeg),
            Ok(None) => return "the camera is gone".into(),
            Err(_) => {}
        }
        let Some(jpeg) = &last else { continue };
        match timeout(TAKEN_WITHIN, to.write_all(jpeg)).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => return format!("the encoder takes no pictures: {why}"),
            Err(_) => return "the encoder hangs".into(),
        }
        tokio::time::sleep_until(next).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_said() {
        assert_eq!(without_login("rtsp://ada:secret@host:8554/cam"), "rtsp://host:8554/cam");
        assert_eq!(without_login("rtsp://host/cam"), "rtsp://host/cam");
    }
}
