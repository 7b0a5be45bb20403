//! How slow the other side may be.
//!
//! Only the time in which *we* wait for it counts, and what it moved earns more: it
//! may keep us waiting for a grace, and a second more for each `rate` bytes. So one
//! byte a second is cut soon, and a large upload over a slow line is not.

use axum::body::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// The slowness that is borne.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For nothing at all.
    pub grace: Duration,
    /// Bytes that earn another second.
    pub rate: u64,
}

/// The time waited for the other side, and what it moved.
struct Account {
    patience: Patience,
    waited: Duration,
    moved: u64,
    /// Since when we wait.
    since: Option<Instant>,
}

impl Account {
    fn new(patience: Patience) -> Self {
        Self { patience, waited: Duration::ZERO, moved: 0, since: None }
    }

    fn moved(&mut self, bytes: usize) {
        if let Some(since) = self.since.take() {
            self.waited += since.elapsed();
        }
        self.moved = self.moved.saturating_add(bytes as u64);
    }

    /// Begins to wait, or goes on; returns when patience ends.
    fn wait(&mut self) -> Instant {
        let since = *self.since.get_or_insert_with(Instant::now);
        let Patience { grace, rate } = self.patience;
        let earned = Duration::from_secs(self.moved / rate.max(1));
        since + grace.saturating_add(earned).saturating_sub(self.waited)
    }
}

/// An account with an alarm.
struct Clocked {
    account: Account,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Clocked {
    fn new(patience: Patience) -> Self {
        Self { account: Account::new(patience), alarm: None }
    }

    fn moved(&mut self, bytes: usize) {
        self.account.moved(bytes);
        self.alarm = None;
    }

    /// Ready when patience has ended.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let end = self.account.wait();
        self.alarm.get_or_insert_with(|| Box::pin(sleep_until(end))).as_mut().poll(context)
    }
}

fn too_slow(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what.to_owned())
}

/// A socket that breaks when the other side takes too slowly what is written, or
/// when nothing moves in either direction for a time.
pub struct Guarded<S> {
    inner: S,
    idle: Duration,
    silence: Pin<Box<Sleep>>,
    writing: Clocked,
}

impl<S> Guarded<S> {
    /// Guards a socket.
    pub fn new(inner: S, idle: Duration, writing: Patience) -> Self {
        let silence = Box::pin(tokio::time::sleep(idle));
        Self { inner, idle, silence, writing: Clocked::new(writing) }
    }

    fn lively(&mut self) {
        let end = Instant::now() + self.idle;
        self.silence.as_mut().reset(end);
    }

    fn written<T>(
        &mut self,
        context: &mut Context<'_>,
        done: Poll<io::Result<T>>,
        bytes: impl Fn(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        match &done {
            Poll::Pending if self.writing.wait(context).is_ready() => {
                return Poll::Ready(Err(too_slow("what was written is not read")));
            }
            Poll::Ready(Ok(value)) => {
                self.writing.moved(bytes(value));
                self.lively();
            }
            _ => {}
        }
        done
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.inner).poll_read(context, out);
        match &done {
            Poll::Pending if self.silence.as_mut().poll(context).is_ready() => {
                Poll::Ready(Err(too_slow("nothing came and nothing went")))
            }
            Poll::Ready(Ok(())) => {
                self.lively();
                done
            }
            _ => done,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.written(context, done, |count| *count)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.inner).poll_flush(context);
        self.written(context, done, |()| 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.inner).poll_shutdown(context);
        self.written(context, done, |()| 0)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.inner).poll_write_vectored(context, parts);
        self.written(context, done, |count| *count)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

/// A request's body that must keep coming.
pub struct Arriving<B> {
    inner: B,
    pace: Clocked,
}

impl<B> Arriving<B> {
    /// A body with patience for its sender.
    pub fn new(inner: B, patience: Patience) -> Self {
        Self { inner, pace: Clocked::new(patience) }
    }
}

impl<B> Body for Arriving<B>
where
    B: Body + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = B::Data;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<B::Data>>>> {
        match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Pending if self.pace.wait(context).is_ready() => {
                Poll::Ready(Some(Err(too_slow("the body comes too slowly"))))
            }
            Poll::Pending => Poll::Pending,
            Poll::Ready(frame) => {
                let frame = frame.map(|frame| frame.map_err(io::Error::other));
                self.pace.moved(frame.as_ref().map_or(0, length));
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn length<D: hyper::body::Buf, E>(frame: &Result<Frame<D>, E>) -> usize {
    frame.as_ref().ok().and_then(Frame::data_ref).map_or(0, hyper::body::Buf::remaining)
}

/// The most bytes of an answer that leave it at a time. What has left is held by the
/// protocol until its reader takes it, and nobody watches that any more.
const PIECE: usize = 64 * 1024;

/// The answers of one connection, to see whether their reader takes them. An HTTP/2
/// client that opens no window holds an answer without ever blocking the socket.
#[derive(Clone)]
pub struct Answers {
    patience: Patience,
    open: Arc<Mutex<Vec<Weak<Mutex<Account>>>>>,
}

impl Answers {
    /// The answers of a new connection.
    pub fn new(patience: Patience) -> Self {
        Self { patience, open: Arc::default() }
    }

    /// Watches an answer's body.
    pub fn watch<B>(&self, inner: B) -> Leaving<B> {
        let mut account = Account::new(self.patience);
        account.wait();
        let account = Arc::new(Mutex::new(account));
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|answer| answer.strong_count() > 0);
        open.push(Arc::downgrade(&account));
        Leaving { inner, rest: Bytes::new(), account }
    }

    /// Completes when a reader took too slowly what is there for it.
    pub async fn unread(&self) {
        loop {
            tokio::time::sleep(self.patience.grace / 4).await;
            let now = Instant::now();
            let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            let over = |answer: &Weak<Mutex<Account>>| {
                let Some(account) = answer.upgrade() else { return false };
                let mut account = account.lock().unwrap_or_else(PoisonError::into_inner);
                account.since.is_some() && account.wait() <= now
            };
            if open.iter().any(over) {
                return;
            }
        }
    }
}

/// An answer's body on its way to the reader.
pub struct Leaving<B> {
    inner: B,
    /// What was given and has not left yet.
    rest: Bytes,
    account: Arc<Mutex<Account>>,
}

impl<B: Body<Data = Bytes> + Unpin> Leaving<B> {
    /// The next frame, of one piece at most.
    fn next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.rest.is_empty() {
            match Pin::new(&mut self.inner).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                other => return other,
            }
        }
        let piece = self.rest.split_to(PIECE.min(self.rest.len()));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Leaving<B> {
    type Data = Bytes;
    type Error = B::Error;

    /// To be asked for more means that the reader took what was there.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = self.next(context);
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        account.moved(match &polled {
            Poll::Ready(Some(frame)) => length(frame),
            _ => 0,
        });
        if matches!(polled, Poll::Ready(Some(Ok(_)))) {
            account.wait();
        }
        drop(account);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (self.inner.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
