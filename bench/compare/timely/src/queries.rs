//! The queries as dataflows. An epoch is two seconds of event time, which is q5's slide; windows of ten seconds are five epochs.
//! Rows travel in batches of up to 4,096: an operator makes one batch of what it is given, and no row is allocated by itself.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use rustc_hash::FxBuildHasher;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::Capability;
use timely::dataflow::StreamVec;

use crate::input::{Auction, BidRow, Kept, Person};
use crate::rows::{
    AuctionPrice, EuroBid, HighBid, HotAuction, LocalAuction, NewSeller, PassedBid, WindowCount,
};

pub const EPOCH_MS: i64 = 2_000;
const EPOCHS_OF_TEN_SECONDS: u64 = 5;

type Map<K, V> = HashMap<K, V, FxBuildHasher>;
type Set<K> = HashSet<K, FxBuildHasher>;
type Rows<'s, D> = StreamVec<'s, u64, D>;

/// What an input brings: rows, or slices of rows where they lie in memory.
pub trait Given<A>: Clone + 'static {
    fn each(batch: &[Self], take: impl FnMut(&[A]));
}
impl<A: Clone + 'static> Given<A> for A {
    fn each(batch: &[A], mut take: impl FnMut(&[A])) {
        take(batch)
    }
}
impl<A: 'static> Given<A> for &'static [A] {
    fn each(batch: &[&'static [A]], mut take: impl FnMut(&[A])) {
        batch.iter().for_each(|rows| take(rows))
    }
}

/// One batch out for each batch in.
fn each_batch<'s, G: Given<A>, A: 'static, B: 'static>(
    rows: Rows<'s, G>,
    name: &str,
    mut make: impl FnMut(&[A], &mut Vec<B>) + 'static,
) -> Rows<'s, B> {
    rows.unary(Pipeline, name, move |_, _| {
        let mut made = Vec::new();
        move |input, output| {
            input.for_each_time(|time, batches| {
                let mut session = output.session(&time);
                for batch in batches {
                    G::each(batch, |rows| make(rows, &mut made));
                    batch.clear();
                    if !made.is_empty() {
                        session.give_container(&mut made);
                        made.clear();
                    }
                }
            })
        }
    })
}

pub fn q0<'s, G: Given<B>, B: BidRow>(bids: Rows<'s, G>) -> Rows<'s, PassedBid<B::Extra>> {
    each_batch(bids, "q0", |batch: &[B], out| {
        out.extend(batch.iter().map(|b| PassedBid {
            auction: b.auction(),
            bidder: b.bidder(),
            price: b.price(),
            at: b.at(),
            extra: b.extra(),
        }))
    })
}

pub fn q1<'s, G: Given<B>, B: BidRow>(bids: Rows<'s, G>) -> Rows<'s, EuroBid<B::Extra>> {
    each_batch(bids, "q1", |batch: &[B], out| {
        out.extend(batch.iter().map(|b| EuroBid {
            auction: b.auction(),
            bidder: b.bidder(),
            euro_thousandths: 908 * b.price(),
            at: b.at(),
            extra: b.extra(),
        }))
    })
}

pub fn q2<'s, G: Given<B>, B: BidRow>(bids: Rows<'s, G>) -> Rows<'s, AuctionPrice> {
    each_batch(bids, "q2", |batch: &[B], out| {
        out.extend(
            batch
                .iter()
                .filter(|b| b.auction() % 123 == 0)
                .map(|b| AuctionPrice { auction: b.auction(), price: b.price() }),
        )
    })
}

pub fn q3<'s, P: Given<Person>, A: Given<Auction>, K: Kept>(
    persons: Rows<'s, P>,
    auctions: Rows<'s, A>,
) -> Rows<'s, LocalAuction<K>> {
    let residents = each_batch(persons, "residents", |batch: &[Person], out: &mut Vec<(i64, [K; 3])>| {
        out.extend(
            batch
                .iter()
                .filter(|p| matches!(p.state.view(), "or" | "id" | "ca"))
                .map(|p| (p.id, [K::of(p.name), K::of(p.city), K::of(p.state)])),
        )
    });
    let offers = each_batch(auctions, "offers", |batch: &[Auction], out: &mut Vec<(i64, i64)>| {
        out.extend(batch.iter().filter(|a| a.category == 10).map(|a| (a.seller, a.id)))
    });
    fn row<K: Kept>([name, city, state]: &[K; 3], auction: i64) -> LocalAuction<K> {
        LocalAuction { name: name.clone(), city: city.clone(), state: state.clone(), auction }
    }
    residents.binary(
        offers,
        Exchange::new(|p: &(i64, [K; 3])| p.0 as u64),
        Exchange::new(|a: &(i64, i64)| a.0 as u64),
        "q3",
        |_, _| {
            let mut persons: Map<i64, [K; 3]> = Map::default();
            let mut auctions: Map<i64, Vec<i64>> = Map::default();
            move |new_persons, new_auctions, output| {
                new_persons.for_each_time(|time, batches| {
                    let mut session = output.session(&time);
                    for (id, texts) in batches.flat_map(|b| b.drain(..)) {
                        for &auction in auctions.get(&id).into_iter().flatten() {
                            session.give(row(&texts, auction));
                        }
                        persons.insert(id, texts);
                    }
                });
                new_auctions.for_each_time(|time, batches| {
                    let mut session = output.session(&time);
                    for (seller, auction) in batches.flat_map(|b| b.drain(..)) {
                        auctions.entry(seller).or_default().push(auction);
                        if let Some(texts) = persons.get(&seller) {
                            session.give(row(texts, auction));
                        }
                    }
                });
            }
        },
    )
}

struct Slice {
    capability: Capability<u64>,
    counts: Map<i64, i64>,
}

/// Counts per epoch, added to and taken from one running total: a window costs what has changed.
#[derive(Default)]
struct SlidingCounts {
    open: BTreeMap<u64, Slice>,
    in_window: VecDeque<(u64, Map<i64, i64>)>,
    totals: Map<i64, i64>,
    spare: Vec<Map<i64, i64>>,
}

impl SlidingCounts {
    /// Closes the windows that end with each epoch before `until`; gives out their rows.
    fn close(&mut self, until: u64, mut give: impl FnMut(&Capability<u64>, u64, &Map<i64, i64>)) {
        while let Some(entry) = self.open.first_entry() {
            if *entry.key() >= until {
                break;
            }
            let (epoch, slice) = entry.remove_entry();
            for (&auction, &n) in &slice.counts {
                *self.totals.entry(auction).or_insert(0) += n;
            }
            self.in_window.push_back((epoch, slice.counts));
            let next = self.open.first_key_value().map_or(u64::MAX, |(&e, _)| e).min(until);
            let mut end = epoch;
            // Also the windows in which nothing is new, as long as they have something.
            while end < next && !self.totals.is_empty() {
                give(&slice.capability, end, &self.totals);
                end += 1;
                self.forget(end);
            }
        }
    }

    /// Takes out what the window that ends with `epoch` does not reach.
    fn forget(&mut self, epoch: u64) {
        while self.in_window.front().is_some_and(|(e, _)| e + EPOCHS_OF_TEN_SECONDS <= epoch) {
            let (_, mut oldest) = self.in_window.pop_front().expect("looked at");
            for (&auction, &n) in &oldest {
                if let Entry::Occupied(mut total) = self.totals.entry(auction) {
                    *total.get_mut() -= n;
                    if *total.get() == 0 {
                        total.remove();
                    }
                }
            }
            oldest.clear();
            self.spare.push(oldest);
        }
    }
}

pub fn q5<B: BidRow>(bids: Rows<'_, B>) -> Rows<'_, HotAuction> {
    let counts = bids.unary_frontier(Exchange::new(|b: &B| b.auction() as u64), "counts", |_, _| {
        let mut sliding = SlidingCounts::default();
        let mut made = Vec::new();
        move |(input, frontier), output| {
            input.for_each_time(|time, batches| {
                let spare = &mut sliding.spare;
                let slice = sliding.open.entry(*time.time()).or_insert_with(|| Slice {
                    capability: time.retain(output.output_index()),
                    counts: spare.pop().unwrap_or_default(),
                });
                for batch in batches {
                    for bid in batch.iter() {
                        *slice.counts.entry(bid.auction()).or_insert(0) += 1;
                    }
                    batch.clear();
                }
            });
            let until = frontier.frontier().first().copied().unwrap_or(u64::MAX);
            sliding.close(until, |capability, epoch, totals| {
                let window_end = (epoch as i64 + 1) * EPOCH_MS;
                let capability = capability.delayed(&epoch);
                let mut session = output.session(&capability);
                made.extend(totals.iter().map(|(&auction, &bids)| WindowCount { window_end, auction, bids }));
                session.give_container(&mut made);
                made.clear();
            });
        }
    });
    counts.unary_frontier(Exchange::new(|c: &WindowCount| c.window_end as u64), "hottest", |_, _| {
        let mut windows: BTreeMap<u64, (Capability<u64>, Vec<WindowCount>)> = BTreeMap::new();
        move |(input, frontier), output| {
            input.for_each_time(|time, batches| {
                let (_, best) = windows
                    .entry(*time.time())
                    .or_insert_with(|| (time.retain(output.output_index()), Vec::new()));
                for count in batches.flat_map(|b| b.drain(..)) {
                    let most = best.first().map_or(0, |b| b.bids);
                    if count.bids > most {
                        best.clear();
                    }
                    if count.bids >= most {
                        best.push(count);
                    }
                }
            });
            while let Some(entry) = windows.first_entry() {
                if frontier.less_equal(entry.key()) {
                    break;
                }
                let (capability, best) = entry.remove();
                output.session(&capability).give_iterator(best.into_iter().map(|c| HotAuction {
                    window_end: c.window_end,
                    auction: c.auction,
                    bids: c.bids,
                }));
            }
        }
    })
}

pub fn q7<'s, G: Given<B>, B: BidRow>(bids: Rows<'s, G>) -> Rows<'s, HighBid<B::Extra>> {
    bids.unary_frontier(Pipeline, "highest", |_, _| {
        let mut windows: BTreeMap<u64, (Capability<u64>, Vec<B>)> = BTreeMap::new();
        move |(input, frontier), output| {
            input.for_each_time(|time, batches| {
                let (_, best) = windows
                    .entry(time.time() / EPOCHS_OF_TEN_SECONDS)
                    .or_insert_with(|| (time.retain(output.output_index()), Vec::new()));
                let mut most = best.first().map_or(-1, |b| b.price());
                for batch in batches {
                    G::each(batch, |bids| {
                        for bid in bids {
                            if bid.price() < most {
                                continue;
                            }
                            if bid.price() > most {
                                best.clear();
                            }
                            most = bid.price();
                            best.push(*bid);
                        }
                    });
                    batch.clear();
                }
            });
            while let Some(entry) = windows.first_entry() {
                if frontier.less_than(&((entry.key() + 1) * EPOCHS_OF_TEN_SECONDS)) {
                    break;
                }
                let (capability, best) = entry.remove();
                output.session(&capability).give_iterator(best.iter().map(|b| HighBid {
                    auction: b.auction(),
                    price: b.price(),
                    bidder: b.bidder(),
                    at: b.at(),
                    extra: b.extra(),
                }));
            }
        }
    })
}

struct NewPersons<K> {
    capability: Capability<u64>,
    persons: Map<i64, K>,
    sellers: Set<i64>,
}

pub fn q8<'s, P: Given<Person>, A: Given<Auction>, K: Kept>(
    persons: Rows<'s, P>,
    auctions: Rows<'s, A>,
) -> Rows<'s, NewSeller<K>> {
    let persons = each_batch(persons, "names", |batch: &[Person], out: &mut Vec<(i64, K)>| {
        out.extend(batch.iter().map(|p| (p.id, K::of(p.name))))
    });
    let sellers = each_batch(auctions, "sellers", |batch: &[Auction], out: &mut Vec<i64>| {
        out.extend(batch.iter().map(|a| a.seller))
    });
    persons.binary_frontier(
        sellers,
        Exchange::new(|p: &(i64, K)| p.0 as u64),
        Exchange::new(|s: &i64| *s as u64),
        "q8",
        |_, _| {
            let mut windows: BTreeMap<u64, NewPersons<K>> = BTreeMap::new();
            let new = |capability| NewPersons { capability, persons: Map::default(), sellers: Set::default() };
            move |(new_persons, before), (new_sellers, also_before), output| {
                new_persons.for_each_time(|time, batches| {
                    let window = windows
                        .entry(time.time() / EPOCHS_OF_TEN_SECONDS)
                        .or_insert_with(|| new(time.retain(output.output_index())));
                    for batch in batches {
                        window.persons.extend(batch.drain(..));
                    }
                });
                new_sellers.for_each_time(|time, batches| {
                    let window = windows
                        .entry(time.time() / EPOCHS_OF_TEN_SECONDS)
                        .or_insert_with(|| new(time.retain(output.output_index())));
                    for batch in batches {
                        window.sellers.extend(batch.drain(..));
                    }
                });
                while let Some(entry) = windows.first_entry() {
                    let end = (entry.key() + 1) * EPOCHS_OF_TEN_SECONDS;
                    if before.less_than(&end) || also_before.less_than(&end) {
                        break;
                    }
                    let window_start = *entry.key() as i64 * EPOCHS_OF_TEN_SECONDS as i64 * EPOCH_MS;
                    let window = entry.remove();
                    let mut session = output.session(&window.capability);
                    for (id, name) in window.persons {
                        if window.sellers.contains(&id) {
                            session.give(NewSeller { id, name, window_start });
                        }
                    }
                }
            }
        },
    )
}
