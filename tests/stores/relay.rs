//! A relay before a server, which can be told to lose what goes through it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Line {
    Open,
    /// Nobody listens any more, and what was open is cut.
    Cut,
    /// Connections are made, and nothing comes of them.
    Silent,
}

#[derive(Clone)]
pub struct Relay {
    pub port: u16,
    inner: Arc<Inner>,
}

struct Inner {
    line: Mutex<Line>,
    open: Mutex<Vec<TcpStream>>,
    /// So many replies are lost, each with its connection, after the server has heard the request.
    replies_to_lose: AtomicUsize,
    lost: AtomicUsize,
    /// So many bytes still go to the server; then the line is silent.
    requests_left: AtomicU64,
}

impl Relay {
    pub fn before(server: u16) -> Relay {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let inner = Arc::new(Inner {
            line: Mutex::new(Line::Open),
            open: Mutex::default(),
            replies_to_lose: AtomicUsize::new(0),
            lost: AtomicUsize::new(0),
            requests_left: AtomicU64::new(u64::MAX),
        });
        let relay = Relay { port, inner };
        let accepting = relay.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                accepting.serve(client, server);
            }
        });
        relay
    }

    pub fn set(&self, line: Line) {
        *self.inner.line.lock().expect("no panic") = line;
        if line == Line::Cut {
            for stream in self.inner.open.lock().expect("no panic").drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }

    pub fn lose_replies(&self, count: usize) {
        self.inner.replies_to_lose.store(count, Ordering::SeqCst);
    }

    /// The line goes silent once so many bytes have gone to the server.
    pub fn silent_after(&self, bytes: u64) {
        self.inner.requests_left.store(bytes, Ordering::SeqCst);
    }

    pub fn lost(&self) -> usize {
        self.inner.lost.load(Ordering::SeqCst)
    }

    pub fn line(&self) -> Line {
        *self.inner.line.lock().expect("no panic")
    }

    fn serve(&self, client: TcpStream, server: u16) {
        if self.line() == Line::Cut {
            return drop(client);
        }
        let Ok(upstream) = TcpStream::connect(("127.0.0.1", server)) else { return };
        let both = [&client, &upstream].map(|stream| stream.try_clone().expect("a handle"));
        self.inner.open.lock().expect("no panic").extend(both);
        let pairs =
            [(client.try_clone().expect("a handle"), upstream.try_clone().expect("a handle"), false), (upstream, client, true)];
        for (from, to, replies) in pairs {
            let relay = self.clone();
            std::thread::spawn(move || relay.pass(from, to, replies));
        }
    }

    fn pass(&self, mut from: TcpStream, mut to: TcpStream, replies: bool) {
        let mut bytes = [0; 1 << 14];
        while let Ok(length @ 1..) = from.read(&mut bytes) {
            let budget = &self.inner.requests_left;
            let less = |left: u64| (!replies && left < u64::MAX).then(|| left.saturating_sub(length as u64));
            if budget.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok_and(|left| left <= length as u64) {
                budget.store(u64::MAX, Ordering::SeqCst);
                *self.inner.line.lock().expect("no panic") = Line::Silent;
            }
            // Kept, as a line that is dead keeps it.
            if self.line() == Line::Silent {
                continue;
            }
            let losing = |left: usize| left.checked_sub(1);
            let counter = &self.inner.replies_to_lose;
            if replies && counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, losing).is_ok() {
                self.inner.lost.fetch_add(1, Ordering::SeqCst);
                break;
            }
            if to.write_all(&bytes[..length]).is_err() {
                break;
            }
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    }
}
