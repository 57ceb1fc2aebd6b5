//! How a guard and the program that it watches hear of each other: a pair of sockets, of which the program has one as its
//! standard input. So no number of a descriptor is believed, and nobody has it who was not given it.
//!
//! Before it starts, one packet waits for the program: lines of the GPIO character device that it may use, and why it is
//! started again, if it is. Back come beats of its hardware thread, with that thread's number, and at the end a farewell.

use planktor_drivers::linux::pins::Lent;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, send, sendmsg, socketpair, sockopt,
};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use rustix::thread::gettid;
use std::io::{self, IoSlice, IoSliceMut, stdin};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// Whoever is started with this has its guard behind its standard input.
const GUARDED: &str = "PLANKTOR_GUARD";
/// What a service manager tells its main process, and nobody else.
const OTHERS: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"];
/// Lines that one packet can carry; a board has three at most.
const LINES: usize = 8;
/// Longer than any reason.
const LONGEST: usize = 1_024;

const BEAT: u8 = 1;
const FAREWELL: u8 = 2;

/// What a program says to its guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// The hardware thread lives; its number.
    Beat(u32),
    /// Everything is safe, and it ends.
    Farewell,
}

/// Why a guard is not believed.
#[derive(Debug, thiserror::Error)]
#[error("{GUARDED} is set, but the standard input is no guard's: {0}; unset it, or start planktor guard")]
pub struct NoGuard(String);

/// The program's end.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<OwnedFd>);

/// What a program knows of its guard.
#[derive(Debug)]
pub struct Guarded {
    /// The way to it.
    pub pulse: Pulse,
    /// Lines that it lends.
    pub lent: Lent,
    /// Why it has started this program again, if it has.
    pub again: Option<String>,
}

impl Guarded {
    /// Whether this program has a guard. From then on it is asked to end when its guard dies.
    ///
    /// # Errors
    /// It is said to have one, but there is none.
    pub fn found() -> Result<Option<Self>, NoGuard> {
        if std::env::var_os(GUARDED).is_none() {
            return Ok(None);
        }
        let failed = |error: Errno| NoGuard(error.to_string());
        let socket = stdin().as_fd().try_clone_to_owned().map_err(|error| NoGuard(error.to_string()))?;
        set_parent_process_death_signal(Some(Signal::TERM)).map_err(failed)?;
        // If it died before, somebody else is our parent now.
        let theirs = sockopt::socket_peercred(&socket).map_err(failed)?.pid;
        if Some(theirs) != getppid() {
            return Err(NoGuard("it was made by another program than the one that started this one".into()));
        }
        let (lent, again) = received(&socket).map_err(failed)?;
        Ok(Some(Self { pulse: Pulse(Arc::new(socket)), lent, again }))
    }
}

impl Pulse {
    /// The hardware thread lives. Never waits: a guard that does not listen misses it.
    pub fn beat(&self) {
        self.say(BEAT);
    }

    /// Everything is safe, and the program ends.
    pub fn farewell(&self) {
        self.say(FAREWELL);
    }

    fn say(&self, word: u8) {
        let [a, b, c, d] = gettid().as_raw_pid().to_ne_bytes();
        let _ = send(&self.0, &[word, a, b, c, d], SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
    }
}

fn received(socket: &OwnedFd) -> Result<(Lent, Option<String>), Errno> {
    let (mut bytes, mut room) =
        ([0; LONGEST], [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(LINES))]);
    let mut with = RecvAncillaryBuffer::new(&mut room);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let len = recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut with, flags)?.bytes;
    let lines = with.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(lines) => lines.collect(),
        _ => vec![],
    });
    let (count, rest) = bytes[..len].split_first().ok_or(Errno::PROTO)?;
    let (numbers, why) = rest.split_at_checked(usize::from(*count)).ok_or(Errno::PROTO)?;
    let lent = Lent::new(numbers.iter().copied().zip(lines).collect());
    Ok((lent, (!why.is_empty()).then(|| String::from_utf8_lossy(why).into_owned())))
}

/// The guard's end.
pub(super) struct Listener {
    socket: OwnedFd,
    hears: bool,
}

impl Listener {
    /// Prepares a program that is to be watched: with these lines, and the reason why it is started again.
    ///
    /// # Errors
    /// There are too many open files.
    pub(super) fn beside(
        program: &mut Command,
        lines: &[(u8, OwnedFd)],
        again: Option<&str>,
    ) -> io::Result<Self> {
        let (listener, theirs) = Self::pair(lines, again)?;
        program.stdin(Stdio::from(theirs)).env(GUARDED, "1");
        OTHERS.iter().for_each(|name| {
            program.env_remove(name);
        });
        Ok(listener)
    }

    fn pair(lines: &[(u8, OwnedFd)], again: Option<&str>) -> io::Result<(Self, OwnedFd)> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (socket, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        let lines = &lines[..lines.len().min(LINES)];
        let files: Vec<BorrowedFd<'_>> = lines.iter().map(|(_, line)| line.as_fd()).collect();
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(LINES))];
        let mut with = SendAncillaryBuffer::new(&mut room);
        if !files.is_empty() {
            with.push(SendAncillaryMessage::ScmRights(&files));
        }
        let mut packet = vec![u8::try_from(lines.len()).unwrap_or_default()];
        packet.extend(lines.iter().map(|(number, _)| *number));
        packet.extend_from_slice(again.unwrap_or_default().as_bytes());
        packet.truncate(LONGEST);
        sendmsg(&socket, &[IoSlice::new(&packet)], &mut with, SendFlags::NOSIGNAL)?;
        Ok((Self { socket, hears: true }, theirs))
    }

    /// The next thing that was said and not heard yet. Never waits.
    pub(super) fn next(&mut self) -> Option<Word> {
        let mut packet = [0; 5];
        loop {
            match rustix::io::read(&self.socket, &mut packet) {
                Ok(5) => {
                    let [word, thread @ ..] = packet;
                    match word {
                        BEAT => return Some(Word::Beat(u32::from_ne_bytes(thread))),
                        FAREWELL => return Some(Word::Farewell),
                        _ => {}
                    }
                }
                Ok(1..) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return None,
                // Nobody speaks there any more: its process is about to end, or silent from now on.
                Ok(0) | Err(_) => {
                    self.hears = false;
                    return None;
                }
            }
        }
    }

    /// What to wait for, as long as somebody is there.
    pub(super) fn socket(&self) -> Option<&OwnedFd> {
        self.hears.then_some(&self.socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn lines_and_the_reason_arrive_before_the_program_has_begun() {
        let lines =
            [(23, File::open("/dev/zero").unwrap().into()), (5, File::open("/dev/null").unwrap().into())];
        let (_guard, theirs) = Listener::pair(&lines, Some("it was silent")).unwrap();
        let (lent, again) = received(&theirs).unwrap();
        assert_eq!(again.as_deref(), Some("it was silent"));
        assert_eq!(lent.numbers().collect::<Vec<_>>(), [5, 23]);

        let (_guard, theirs) = Listener::pair(&[], None).unwrap();
        let (lent, again) = received(&theirs).unwrap();
        assert_eq!((lent.numbers().count(), again), (0, None));
    }

    #[test]
    fn what_is_said_is_heard_in_order_and_nobody_waits() {
        let (mut guard, theirs) = Listener::pair(&[], None).unwrap();
        received(&theirs).unwrap();
        let pulse = Pulse(Arc::new(theirs));
        assert_eq!(guard.next(), None);
        pulse.beat();
        pulse.beat();
        pulse.farewell();
        let me = Some(Word::Beat(gettid().as_raw_pid().cast_unsigned()));
        assert_eq!([(); 4].map(|()| guard.next()), [me, me, Some(Word::Farewell), None]);
        // Nobody listens: ten thousand beats are as good as one.
        (0..10_000).for_each(|_| pulse.beat());
        assert_eq!(guard.next(), me);
        drop(pulse);
        while guard.next().is_some() {}
        assert!(guard.socket().is_none(), "it is known that nobody speaks any more");
    }

    #[test]
    fn an_ordinary_program_has_no_guard() {
        assert!(Guarded::found().unwrap().is_none());
    }
}
