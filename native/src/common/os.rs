//! What differs between Unix and other systems: signals, file modes, the limit on open files, the terminal's mode.

pub(crate) use imp::*;

/// What a service manager hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// The program does its work from now on.
    Ready,
    /// It still does.
    Alive,
    /// It is about to end.
    Stopping,
}

#[cfg(unix)]
mod imp {
    use std::{
        fs::{self, DirBuilder, File, OpenOptions},
        io,
        os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
        path::Path,
        time::{Duration, SystemTime},
    };

    use nix::{
        fcntl::OFlag,
        sys::{
            resource::{Resource, getrlimit, setrlimit},
            termios::{SetArg, Termios, tcgetattr, tcsetattr},
        },
        unistd::{geteuid, getpgrp, tcgetpgrp},
    };
    use sd_notify::NotifyState;
    use tokio::signal::unix::{Signal, SignalKind, signal};

    use super::Word;

    /// The mode of a file that only its owner can read and write.
    const PRIVATE_FILE: u32 = 0o600;
    /// The mode of a directory that only its owner can enter.
    const PRIVATE_DIR: u32 = 0o700;

    /// SIGINT, SIGTERM, and SIGHUP unless it was ignored when the process began (`nohup`).
    #[derive(Debug)]
    pub(crate) struct StopSignals {
        interrupt: Signal,
        terminate: Signal,
        /// The terminal's window was closed.
        hang_up: Option<Signal>,
    }

    impl StopSignals {
        pub(crate) fn install() -> io::Result<Self> {
            Ok(Self {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
                hang_up: match is_ignored(HANG_UP) {
                    true => None,
                    false => Some(signal(SignalKind::hangup())?),
                },
            })
        }

        /// Waits for the next signal.
        pub(crate) async fn next(&mut self) {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
                () = async {
                    match &mut self.hang_up {
                        Some(signal) => drop(signal.recv().await),
                        None => std::future::pending().await,
                    }
                } => {}
            }
        }
    }

    /// Tells the service manager, if there is one that listens.
    pub(crate) fn tell_service_manager(word: Word) {
        let state = match word {
            Word::Ready => NotifyState::Ready,
            Word::Alive => NotifyState::Watchdog,
            Word::Stopping => NotifyState::Stopping,
        };
        if let Err(error) = sd_notify::notify(&[state]) {
            tracing::debug!(%error, "the service manager cannot be told");
        }
    }

    /// After which silence the service manager takes this process for dead, if it does.
    pub(crate) fn watchdog() -> Option<Duration> {
        sd_notify::watchdog_enabled()
    }

    /// The number of SIGHUP, by POSIX.
    const HANG_UP: u32 = 1;

    /// Whether the process was started with this signal ignored. Asking the system without unsafe code goes by
    /// `/proc`; where there is none, no signal counts as ignored.
    fn is_ignored(signal: u32) -> bool {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        mask.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
    }

    /// When a file last changed. Unlike the time of modification, a program cannot set it: it differs between copies
    /// that keep times, and between builds that set all times alike.
    pub(crate) fn changed(metadata: &fs::Metadata) -> io::Result<SystemTime> {
        let seconds = u64::try_from(metadata.ctime()).map_err(io::Error::other)?;
        let nanos = u32::try_from(metadata.ctime_nsec()).map_err(io::Error::other)?;
        Ok(SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos))
    }

    /// The mode of the terminal on stdin, restored on drop: a prompt that waits for a key when the process ends leaves
    /// the terminal in raw mode.
    #[derive(Debug)]
    pub(crate) struct TerminalMode(Option<Termios>);

    impl TerminalMode {
        /// Reads the mode, if stdin is a terminal.
        pub(crate) fn remember() -> Self {
            Self(tcgetattr(io::stdin()).ok())
        }
    }

    /// SIGCONT: the process goes on after it was stopped by Ctrl-Z.
    #[derive(Debug)]
    pub(crate) struct Continued(Signal);

    impl Continued {
        pub(crate) fn install() -> io::Result<Self> {
            // POSIX does not fix its number.
            let number = nix::sys::signal::Signal::SIGCONT as i32;
            signal(SignalKind::from_raw(number)).map(Self)
        }

        /// Waits for the next time.
        pub(crate) async fn next(&mut self) {
            self.0.recv().await;
        }
    }

    /// Gives the terminal the mode that a prompt reads keys in, and that a shell takes away while the process is
    /// stopped. Returns false in the background, where the terminal is somebody else's.
    pub(crate) fn read_keys() -> bool {
        let stdin = io::stdin();
        if tcgetpgrp(&stdin).ok() != Some(getpgrp()) {
            return false;
        }
        let Ok(mut mode) = tcgetattr(&stdin) else {
            return false;
        };
        use nix::sys::termios::{
            ControlFlags, InputFlags, LocalFlags,
            SpecialCharacterIndices::{VMIN, VTIME},
        };
        mode.input_flags &= !(InputFlags::BRKINT
            | InputFlags::ICRNL
            | InputFlags::INPCK
            | InputFlags::ISTRIP
            | InputFlags::IXON);
        mode.control_flags |= ControlFlags::CS8;
        mode.local_flags &=
            !(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::IEXTEN | LocalFlags::ISIG);
        mode.control_chars[VMIN as usize] = 1;
        mode.control_chars[VTIME as usize] = 0;
        tcsetattr(&stdin, SetArg::TCSADRAIN, &mode).is_ok()
    }

    impl Drop for TerminalMode {
        fn drop(&mut self) {
            if let Some(mode) = &self.0 {
                // The terminal may be gone.
                let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, mode);
            }
        }
    }

    /// Creates a directory that only its owner can enter. One that exists is left as it is.
    pub(crate) fn create_private_dir(path: &Path) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(PRIVATE_DIR)
            .create(path)
    }

    /// Has nobody else enter a directory of ours.
    pub(crate) fn close_dir(path: &Path) -> io::Result<()> {
        fs::set_permissions(path, fs::Permissions::from_mode(PRIVATE_DIR))
    }

    /// Opens what may turn out to be anything: a symbolic link is refused, since it leads to a file that nobody named,
    /// and a pipe is not waited for.
    pub(crate) fn open_strictly(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        options.custom_flags(flags.bits()).open(path)
    }

    /// Whether the file belongs to the user that this process acts for.
    pub(crate) fn is_ours(metadata: &fs::Metadata) -> bool {
        metadata.uid() == geteuid().as_raw()
    }

    /// Takes all permissions on a file from its group and from others. Returns whether they had any.
    pub(crate) fn make_private(file: &File) -> io::Result<bool> {
        let mode = file.metadata()?.permissions().mode();
        if mode & 0o077 == 0 {
            return Ok(false);
        }
        file.set_permissions(fs::Permissions::from_mode(PRIVATE_FILE))?;
        Ok(true)
    }

    /// Raises this process's limit on open files as far as the system allows, and returns the limit.
    pub(crate) fn raise_open_files() -> Option<u64> {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
        if soft >= hard || setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_err() {
            return Some(soft);
        }
        Some(hard)
    }
}

#[cfg(not(unix))]
mod imp {
    use std::{
        fs::{self, File, OpenOptions},
        io,
        path::Path,
        time::SystemTime,
    };

    /// Ctrl-C.
    #[derive(Debug)]
    pub(crate) struct StopSignals;

    impl StopSignals {
        pub(crate) fn install() -> io::Result<Self> {
            Ok(Self)
        }

        /// Waits for the next signal.
        pub(crate) async fn next(&mut self) {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Nothing: other systems have no such service manager.
    pub(crate) fn tell_service_manager(_: super::Word) {}

    pub(crate) fn watchdog() -> Option<std::time::Duration> {
        None
    }

    /// Nothing: on other systems no process is stopped from the keyboard.
    #[derive(Debug)]
    pub(crate) struct Continued;

    impl Continued {
        pub(crate) fn install() -> io::Result<Self> {
            Ok(Self)
        }

        pub(crate) async fn next(&mut self) {
            std::future::pending().await
        }
    }

    pub(crate) fn read_keys() -> bool {
        false
    }

    /// Nothing: on other systems the prompt restores the console.
    #[derive(Debug)]
    pub(crate) struct TerminalMode;

    impl TerminalMode {
        pub(crate) fn remember() -> Self {
            Self
        }
    }

    /// Creates a directory, whose permissions are inherited from its parent.
    pub(crate) fn create_private_dir(path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    /// Its permissions are those of its parent.
    pub(crate) fn close_dir(_: &Path) -> io::Result<()> {
        Ok(())
    }

    /// When a file was last modified.
    pub(crate) fn changed(metadata: &fs::Metadata) -> io::Result<SystemTime> {
        metadata.modified()
    }

    /// Opens a file. To create a link there needs a privilege.
    pub(crate) fn open_strictly(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
        options.open(path)
    }

    /// Ownership decides nothing: permissions do.
    pub(crate) fn is_ours(_: &fs::Metadata) -> bool {
        true
    }

    /// Nothing: permissions are inherited from the directory.
    pub(crate) fn make_private(_: &File) -> io::Result<bool> {
        Ok(false)
    }

    /// No limit is known.
    pub(crate) fn raise_open_files() -> Option<u64> {
        None
    }
}
