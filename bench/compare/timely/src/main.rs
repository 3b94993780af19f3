//! Nexmark's queries on Timely Dataflow, one worker: see README.md for what is timed and bench/compare/README.md for the protocol.

mod input;
mod queries;
mod rows;

use std::cell::RefCell;
use std::fmt::Display;
use std::rc::Rc;
use std::time::Instant;

use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::{InputHandle, ProbeHandle, StreamVec};
use timely::worker::Worker;

use crate::input::{Auction, Bid, BidRow, Input, Kept, Person, ShortBid, Text};
use crate::queries::{Given, EPOCH_MS};
use crate::rows::Tally;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 4_096;

#[derive(Default)]
struct Options {
    input: String,
    query: String,
    warm_up_s: f64,
    measure: u32,
    check: bool,
    short_rows: bool,
    in_place: bool,
}

fn options() -> Options {
    let mut o = Options { measure: 1, ..Default::default() };
    let mut words = std::env::args().skip(1);
    while let Some(flag) = words.next() {
        let mut value = || words.next().unwrap_or_else(|| panic!("{flag} wants a value"));
        match flag.as_str() {
            "--input" => o.input = value(),
            "--query" => o.query = value(),
            "--warm-up" => o.warm_up_s = value().parse().expect("--warm-up wants seconds"),
            "--measure" => o.measure = value().parse().expect("--measure wants a number"),
            "--check" => o.check = true,
            "--short-rows" => o.short_rows = true,
            "--in-place" => o.in_place = true,
            _ => panic!("unknown argument: {flag}"),
        }
    }
    assert!(!(o.in_place && o.short_rows), "--in-place has rows of full width: it excludes --short-rows");
    assert!(!(o.in_place && o.query == "q5"), "q5 exchanges its rows, so there is none --in-place");
    o
}

fn cpu_seconds() -> f64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes what it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut now) };
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
}

fn epoch_of(at: i64) -> u64 {
    (at / EPOCH_MS) as u64
}

type Sent<G> = InputHandle<u64, timely::container::CapacityContainerBuilder<Vec<G>>>;

/// Rows in the order of their time, sent epoch by epoch in batches: copied, or slices of where they lie.
struct Feed<D: 'static, G> {
    rest: &'static [D],
    at: fn(&D) -> i64,
    fill: fn(&'static [D], &mut Vec<G>),
    batch: Vec<G>,
}

fn copied<D: Copy>(rows: &'static [D], batch: &mut Vec<D>) {
    batch.extend_from_slice(rows);
}
fn in_place<D>(rows: &'static [D], batch: &mut Vec<&'static [D]>) {
    batch.push(rows);
}

impl<D, G: Clone + 'static> Feed<D, G> {
    fn new(rows: &'static [D], at: fn(&D) -> i64, fill: fn(&'static [D], &mut Vec<G>)) -> Self {
        Feed { rest: rows, at, fill, batch: Vec::new() }
    }
    fn epoch(&self) -> Option<u64> {
        self.rest.first().map(|row| epoch_of((self.at)(row)))
    }
    fn send_epoch(&mut self, epoch: u64, worker: &mut Worker, input: &mut Sent<G>) {
        while self.epoch() == Some(epoch) {
            let most = &self.rest[..self.rest.len().min(BATCH)];
            let size = match most.last() {
                Some(last) if epoch_of((self.at)(last)) == epoch => most.len(),
                _ => most.partition_point(|row| epoch_of((self.at)(row)) == epoch),
            };
            self.batch.clear();
            (self.fill)(&self.rest[..size], &mut self.batch);
            self.rest = &self.rest[size..];
            input.send_batch(&mut self.batch);
            worker.step();
        }
    }
}

/// Only counts in timed passes, as Tidemill does.
fn collect<'s, D: Display + 'static>(rows: StreamVec<'s, u64, D>, tally: &Rc<RefCell<Tally>>, check: bool, probe: &ProbeHandle<u64>) {
    use timely::dataflow::operators::Probe;
    let tally = Rc::clone(tally);
    rows.unary(Pipeline, "rows", move |_, _| {
        move |input, _output: &mut timely::dataflow::operators::generic::OutputBuilderSession<'_, u64, timely::container::CapacityContainerBuilder<Vec<()>>>| {
            input.for_each_time(|_, batches| {
                let mut tally = tally.borrow_mut();
                for batch in batches {
                    if check {
                        batch.iter().for_each(|row| tally.check(row));
                    } else {
                        tally.rows += batch.len() as u64;
                    }
                    std::hint::black_box(batch.as_ptr());
                    batch.clear();
                }
            })
        }
    })
    .probe_with(probe);
}

struct Pass {
    rows: u64,
    sum: u64,
    cpu_s: f64,
    wall_s: f64,
}

fn timed(tally: &Rc<RefCell<Tally>>, run: impl FnOnce()) -> Pass {
    let (begin, cpu) = (Instant::now(), cpu_seconds());
    run();
    let (cpu_s, wall_s) = (cpu_seconds() - cpu, begin.elapsed().as_secs_f64());
    let tally = tally.borrow();
    Pass { rows: tally.rows, sum: tally.sum, cpu_s, wall_s }
}

/// q5 exchanges its rows, so it has them copied.
fn pass_over_bids<B: BidRow>(worker: &mut Worker, query: &str, bids: &'static [B], check: bool) -> Pass {
    if query != "q5" {
        return pass_over_given_bids(worker, query, Feed::new(bids, B::at, copied), check);
    }
    let tally = Rc::new(RefCell::new(Tally::default()));
    let probe = ProbeHandle::new();
    let mut input = InputHandle::new();
    worker.dataflow(|scope| collect(queries::q5::<B>(input.to_stream(scope)), &tally, check, &probe));
    feed_bids(worker, input, Feed::new(bids, B::at, copied), &tally, &probe)
}

fn pass_over_given_bids<G: Given<B>, B: BidRow>(worker: &mut Worker, query: &str, feed: Feed<B, G>, check: bool) -> Pass {
    let tally = Rc::new(RefCell::new(Tally::default()));
    let probe = ProbeHandle::new();
    let mut input = InputHandle::new();
    worker.dataflow(|scope| {
        let bids = input.to_stream(scope);
        match query {
            "q0" => collect(queries::q0::<G, B>(bids), &tally, check, &probe),
            "q1" => collect(queries::q1::<G, B>(bids), &tally, check, &probe),
            "q2" => collect(queries::q2::<G, B>(bids), &tally, check, &probe),
            "q7" => collect(queries::q7::<G, B>(bids), &tally, check, &probe),
            _ => panic!("there is no {query} here"),
        }
    });
    feed_bids(worker, input, feed, &tally, &probe)
}

fn feed_bids<G: Clone + 'static, B: BidRow>(
    worker: &mut Worker,
    mut input: Sent<G>,
    mut feed: Feed<B, G>,
    tally: &Rc<RefCell<Tally>>,
    probe: &ProbeHandle<u64>,
) -> Pass {
    timed(tally, || {
        while let Some(epoch) = feed.epoch() {
            input.advance_to(epoch);
            feed.send_epoch(epoch, worker, &mut input);
        }
        input.close();
        worker.step_while(|| !probe.done());
    })
}

fn pass_over_persons<P: Given<Person>, A: Given<Auction>, K: Kept>(
    worker: &mut Worker,
    query: &str,
    mut person_feed: Feed<Person, P>,
    mut auction_feed: Feed<Auction, A>,
    check: bool,
) -> Pass {
    let tally = Rc::new(RefCell::new(Tally::default()));
    let probe = ProbeHandle::new();
    let (mut persons, mut auctions) = (InputHandle::new(), InputHandle::new());
    worker.dataflow(|scope| {
        let (persons, auctions) = (persons.to_stream(scope), auctions.to_stream(scope));
        match query {
            "q3" => collect(queries::q3::<P, A, K>(persons, auctions), &tally, check, &probe),
            "q8" => collect(queries::q8::<P, A, K>(persons, auctions), &tally, check, &probe),
            _ => panic!("there is no {query} here"),
        }
    });
    timed(&tally, || {
        while let Some(epoch) = [person_feed.epoch(), auction_feed.epoch()].into_iter().flatten().min() {
            persons.advance_to(epoch);
            auctions.advance_to(epoch);
            person_feed.send_epoch(epoch, worker, &mut persons);
            auction_feed.send_epoch(epoch, worker, &mut auctions);
        }
        persons.close();
        auctions.close();
        worker.step_while(|| !probe.done());
    })
}

fn run(worker: &mut Worker, options: &Options, input: &'static Input) {
    let short_bids: &'static [ShortBid] =
        if options.short_rows { Vec::leak(input.bids.iter().map(ShortBid::of).collect()) } else { &[] };
    let query = options.query.as_str();
    let persons_at: fn(&Person) -> i64 = |p| p.at;
    let auctions_at: fn(&Auction) -> i64 = |a| a.at;
    let mut pass = |check| match query {
        "q3" | "q8" if options.in_place => pass_over_persons::<_, _, String>(
            worker,
            query,
            Feed::new(&input.persons, persons_at, in_place),
            Feed::new(&input.auctions, auctions_at, in_place),
            check,
        ),
        "q3" | "q8" => {
            let persons = Feed::new(&input.persons, persons_at, copied);
            let auctions = Feed::new(&input.auctions, auctions_at, copied);
            if options.short_rows {
                pass_over_persons::<_, _, Text>(worker, query, persons, auctions, check)
            } else {
                pass_over_persons::<_, _, String>(worker, query, persons, auctions, check)
            }
        }
        _ if options.short_rows => pass_over_bids(worker, query, short_bids, check),
        _ if options.in_place => {
            pass_over_given_bids::<_, Bid>(worker, query, Feed::new(&input.bids, Bid::at, in_place), check)
        }
        _ => pass_over_bids::<Bid>(worker, query, &input.bids, check),
    };
    let begin = Instant::now();
    loop {
        pass(false);
        if begin.elapsed().as_secs_f64() >= options.warm_up_s {
            break;
        }
    }
    for _ in 0..options.measure {
        print(query, input, &pass(false), false);
    }
    if options.check {
        print(query, input, &pass(true), true);
    }
}

fn print(query: &str, input: &Input, pass: &Pass, check: bool) {
    let checksum = if check { format!(", \"checksum\": \"{:016x}\"", pass.sum) } else { String::new() };
    println!(
        "{{\"query\": \"{query}\", \"events\": {}, \"rows\": {}{checksum}, \"cpu_s\": {:.6}, \"wall_s\": {:.6}}}",
        input.events, pass.rows, pass.cpu_s, pass.wall_s
    );
}

fn main() {
    let options = options();
    let input: &'static Input = Box::leak(Box::new(input::load(&options.input)));
    timely::execute_directly(move |worker| run(worker, &options, input));
}
