//! A pseudo-terminal with a program in it, as a person sits before one.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::harness::until;

/// A terminal and what runs in it.
pub(crate) struct Terminal {
    keyboard: OwnedFd,
    child: Child,
    screen: Receiver<Vec<u8>>,
    /// What was shown and not waited for yet.
    shown: String,
}

impl Terminal {
    /// Starts a program in a terminal of this size.
    pub(crate) fn start(mut command: Command, columns: u16, rows: u16) -> Self {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let name = ptsname(&keyboard, Vec::new()).unwrap();
        let end = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        tcsetwinsize(&keyboard, size(columns, rows)).unwrap();
        command.stdin(end.try_clone().unwrap()).stdout(end.try_clone().unwrap()).stderr(Stdio::from(end));
        let child = command.spawn().unwrap();
        // Only the program shall hold its end, so that the screen ends with it.
        drop(command);
        let (screen, shown) = channel();
        let mut reader = File::from(keyboard.try_clone().unwrap());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = reader.read(&mut buffer) {
                if screen.send(buffer[..read].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { keyboard, child, screen: shown, shown: String::new() }
    }

    /// Waits until the screen shows a text, after what was waited for before.
    pub(crate) fn shows(&mut self, text: &str) {
        let rest = until(&format!("the terminal shows {text:?}"), || {
            self.look();
            self.shown.split_once(text).map(|(_, rest)| rest.to_owned())
        });
        self.shown = rest;
    }

    /// Types.
    pub(crate) fn types(&mut self, keys: &str) {
        File::from(self.keyboard.try_clone().unwrap()).write_all(keys.as_bytes()).unwrap();
    }

    /// Drags the window to another size.
    pub(crate) fn resize(&mut self, columns: u16, rows: u16) {
        tcsetwinsize(&self.keyboard, size(columns, rows)).unwrap();
        // The kernel tells the session that the terminal controls; this program has none.
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::WINCH).unwrap();
    }

    /// How the terminal treats what is typed.
    pub(crate) fn mode(&self) -> Termios {
        tcgetattr(self.keyboard.as_fd()).unwrap()
    }

    /// Waits for the end of the program and gives its exit code.
    pub(crate) fn code(&mut self) -> i32 {
        until("the program in the terminal ended", || self.child.try_wait().unwrap()).code().unwrap_or(-1)
    }

    fn look(&mut self) {
        while let Ok(bytes) = self.screen.try_recv() {
            self.shown.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 }
}
