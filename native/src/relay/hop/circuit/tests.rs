//! What a circuit carries, how fast, and when it ends.

use std::{
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll},
};

use tokio_util::compat::TokioAsyncReadCompatExt;

use super::*;
use crate::relay::hop::ledger::Activity;

const NO_BOUNDS: Bounds = Bounds {
    duration: Duration::from_secs(24 * 3_600),
    bytes: 0,
    rate: 0,
};

struct Rig {
    told: mpsc::Receiver<Progress>,
    cut: Option<oneshot::Sender<Infallible>>,
}

fn grant(bounds: Bounds) -> (Grant, Rig) {
    let (progress, told) = mpsc::channel(0);
    let (cut_it, cut) = oneshot::channel();
    let grant = Grant {
        id: CircuitId::first(),
        asker: None,
        activity: Activity::default(),
        start: time::Instant::now().into_std(),
        bounds,
        shared: Vec::new(),
        relayed: Relayed::default(),
        cut,
        progress,
    };
    let cut = Some(cut_it);
    (grant, Rig { told, cut })
}

impl Rig {
    fn told(&mut self) -> Vec<Progress> {
        std::iter::from_fn(|| self.told.try_recv().ok()).collect()
    }
}

const OPENED: Progress = Progress::Opened(CircuitId::first());
const ENDED: Progress = Progress::Ended(CircuitId::first());

/// The two ends of a stream that holds as much as a window of QUIC.
fn stream() -> (
    impl AsyncRead + AsyncWrite + Unpin,
    impl AsyncRead + AsyncWrite + Unpin + Send,
) {
    let (far, near) = tokio::io::duplex(64 * 1024);
    (far.compat(), near.compat())
}

#[tokio::test]
async fn each_side_may_close_first_and_nothing_is_lost() {
    let ((mut caller, near), (mut callee, near_too)) = (stream(), stream());
    let (grant, mut rig) = grant(NO_BOUNDS);
    let circuit = tokio::spawn(run(near, near_too, grant));
    caller.write_all(b"question").await.unwrap();
    caller.close().await.unwrap();
    let mut heard = Vec::new();
    callee.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"question");
    callee.write_all(b"answer").await.unwrap();
    callee.close().await.unwrap();
    heard.clear();
    caller.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"answer");
    circuit.await.unwrap();
    assert_eq!(rig.told(), [OPENED, ENDED]);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_loses_the_circuit() {
    let ((mut caller, near), (_callee, near_too)) = (stream(), stream());
    let (grant, mut rig) = grant(NO_BOUNDS);
    let start = time::Instant::now();
    let circuit = tokio::spawn(run(near, near_too, grant));
    let written = async {
        let mut total = 0;
        while let Ok(written) = caller.write(&[0; 1024]).await {
            total += written;
        }
        total
    };
    let (written, ended) = tokio::join!(written, circuit);
    ended.unwrap();
    assert_eq!(start.elapsed(), UNREAD_TIMEOUT);
    assert_eq!(rig.told(), [OPENED, Progress::Unread(None), ENDED]);
    // Two streams' windows and our own buffer: all that it could have us hold.
    assert!(written <= 2 * 64 * 1024 + BUFFER_BYTES, "{written}");
}

/// One side sends without end.
struct Endless;

/// The other counts what it gets.
struct Counting(Arc<AtomicUsize>);

/// A side that does both.
struct Both(Endless, Counting);

impl AsyncRead for Both {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Both {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.1).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.1).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.1).poll_close(cx)
    }
}

impl AsyncRead for Endless {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buffer.len()))
    }
}

impl AsyncRead for Counting {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Pending
    }
}

impl AsyncWrite for Endless {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        unreachable!("nobody answers it")
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counting {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.fetch_add(bytes.len(), Ordering::Relaxed);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What so many endless circuits carry in that time.
async fn carried(circuits: usize, seconds: u64, bounds: Bounds, of_all: u64) -> usize {
    let passed = Arc::<AtomicUsize>::default();
    let of_all = SharedRate::new(Mutex::new(ByteRate::new(of_all)));
    let tasks: Vec<_> = (0..circuits)
        .map(|_| {
            let (mut grant, rig) = grant(bounds);
            grant.shared = vec![of_all.clone()];
            let circuit = run(Endless, Counting(passed.clone()), grant);
            tokio::spawn(async move {
                circuit.await;
                drop(rig);
            })
        })
        .collect();
    time::sleep(Duration::from_secs(seconds)).await;
    tasks.iter().for_each(|task| task.abort());
    passed.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn a_circuit_and_all_together_have_their_rates() {
    let bounds = Bounds {
        rate: 1_000_000,
        ..NO_BOUNDS
    };
    let one = carried(1, 10, bounds, 0).await;
    assert!((9_900_000..10_300_000).contains(&one), "{one}");
    let many = carried(50, 10, bounds, 4_000_000).await;
    assert!((39_600_000..41_300_000).contains(&many), "{many}");
}

/// A circuit that is busy both ways takes no more than one that is busy one way.
#[tokio::test(start_paused = true)]
async fn both_ways_together_have_the_rate_of_all() {
    const RATE: u64 = 1_000_000;
    let of_all = SharedRate::new(Mutex::new(ByteRate::new(RATE)));
    let passed = Arc::<AtomicUsize>::default();
    for _ in 0..10 {
        let (mut grant, rig) = grant(NO_BOUNDS);
        grant.shared = vec![of_all.clone()];
        let ends = [passed.clone(), passed.clone()].map(|count| Both(Endless, Counting(count)));
        let [caller, callee] = ends;
        let circuit = run(caller, callee, grant);
        tokio::spawn(async move {
            circuit.await;
            drop(rig);
        });
    }
    time::sleep(Duration::from_secs(20)).await;
    let passed = passed.load(Ordering::Relaxed);
    assert!((18_000_000..22_000_000).contains(&passed), "{passed}");
}

/// What a light pair says waits no longer than if each circuit had an equal part of the rate, however much others want.
#[tokio::test(start_paused = true)]
async fn greedy_circuits_leave_a_light_one_its_part_of_a_rate() {
    const GREEDY: usize = 200;
    const RATE: u64 = 1_000_000;
    let of_all = SharedRate::new(Mutex::new(ByteRate::new(RATE)));
    let passed = Arc::<AtomicUsize>::default();
    for _ in 0..GREEDY {
        let (mut grant, rig) = grant(NO_BOUNDS);
        grant.shared = vec![of_all.clone()];
        let circuit = run(Endless, Counting(passed.clone()), grant);
        tokio::spawn(async move {
            circuit.await;
            drop(rig);
        });
    }
    let ((mut caller, near), (mut callee, near_too)) = (stream(), stream());
    let (mut grant, _rig) = grant(NO_BOUNDS);
    grant.shared = vec![of_all.clone()];
    tokio::spawn(run(near, near_too, grant));
    // The greedy ones have spent their bursts.
    time::sleep(Duration::from_secs(10)).await;
    let flows = FLOWS * (GREEDY + 3);
    let part = Duration::from_secs_f64(100.0 * flows as f64 / RATE as f64);
    for _ in 0..100 {
        let start = time::Instant::now();
        caller.write_all(&[0; 100]).await.unwrap();
        callee.read_exact(&mut [0; 100]).await.unwrap();
        assert!(start.elapsed() <= part, "{:?}", start.elapsed());
        // Virtual time passes only while all wait.
        time::sleep(Duration::from_millis(1)).await;
    }
}

/// Between a word of a light pair and its arrival the greedy ones have a turn or two each, and no more.
#[tokio::test]
async fn greedy_circuits_take_turns_with_a_light_one() {
    const GREEDY: usize = 4;
    let passed = Arc::<AtomicUsize>::default();
    for _ in 0..GREEDY {
        let (grant, rig) = grant(NO_BOUNDS);
        let circuit = run(Endless, Counting(passed.clone()), grant);
        tokio::spawn(async move {
            circuit.await;
            drop(rig);
        });
    }
    let ((mut caller, near), (mut callee, near_too)) = (stream(), stream());
    let (grant, _rig) = grant(NO_BOUNDS);
    tokio::spawn(run(near, near_too, grant));
    for _ in 0..100 {
        let before = passed.load(Ordering::Relaxed);
        caller.write_all(b"word").await.unwrap();
        callee.read_exact(&mut [0; 4]).await.unwrap();
        let meanwhile = passed.load(Ordering::Relaxed) - before;
        assert!(meanwhile <= 4 * GREEDY * TURN_BYTES, "{meanwhile}");
    }
}

#[tokio::test]
async fn what_has_to_go_goes() {
    let ((mut caller, near), (_callee, near_too)) = (stream(), stream());
    let (grant, mut rig) = grant(NO_BOUNDS);
    let circuit = tokio::spawn(run(near, near_too, grant));
    drop(rig.cut.take());
    circuit.await.unwrap();
    assert_eq!(caller.read(&mut [0; 9]).await.unwrap(), 0);
    assert_eq!(rig.told(), [OPENED, ENDED]);
}
