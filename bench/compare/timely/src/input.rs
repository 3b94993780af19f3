//! The events of `nexmark --dump-input`, read into memory before the clock starts: rows by kind, each in the order of arrival.

use std::fmt::{Display, Formatter};

use serde::{Deserialize, Serialize};

/// A view into the input, which lives as long as the process; eight bytes, as in Tidemill's rows.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Text(u64);

const ADDRESS_BITS: u32 = 48;

impl Text {
    fn of(text: &'static str) -> Self {
        Text(text.as_ptr() as u64 | (text.len() as u64) << ADDRESS_BITS)
    }
    pub fn view(self) -> &'static str {
        let address = self.0 & ((1 << ADDRESS_BITS) - 1);
        // SAFETY: made by `of` only, from text that is never freed.
        unsafe {
            let bytes = std::slice::from_raw_parts(address as *const u8, (self.0 >> ADDRESS_BITS) as usize);
            std::str::from_utf8_unchecked(bytes)
        }
    }
}

impl Display for Text {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.view())
    }
}

/// A text that state keeps: a view, or a copy as Tidemill's state makes one of all that it keeps.
pub trait Kept: Clone + Display + Serialize + for<'a> Deserialize<'a> + Send + 'static {
    fn of(text: Text) -> Self;
}
impl Kept for Text {
    fn of(text: Text) -> Self {
        text
    }
}
impl Kept for String {
    fn of(text: Text) -> Self {
        text.view().to_owned()
    }
}

/// The same in sixteen bytes, as `&str` has.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct WideText {
    address: u64,
    size: u64,
}

impl Display for WideText {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        // SAFETY: made of a Text.
        f.write_str(unsafe {
            std::str::from_utf8_unchecked(std::slice::from_raw_parts(self.address as *const u8, self.size as usize))
        })
    }
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Person {
    pub id: i64,
    pub name: Text,
    pub email: Text,
    pub credit_card: Text,
    pub city: Text,
    pub state: Text,
    pub at: i64,
    pub extra: Text,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Auction {
    pub id: i64,
    pub item: Text,
    pub description: Text,
    pub initial_bid: i64,
    pub reserve: i64,
    pub at: i64,
    pub expires: i64,
    pub seller: i64,
    pub category: i64,
    pub extra: Text,
}

/// All of a bid, as Tidemill's queries get it: 56 bytes.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Bid {
    pub auction: i64,
    pub bidder: i64,
    pub price: i64,
    pub channel: Text,
    pub url: Text,
    pub at: i64,
    pub extra: Text,
}

/// What q0 to q8 read of a bid: 48 bytes.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct ShortBid {
    pub auction: i64,
    pub bidder: i64,
    pub price: i64,
    pub at: i64,
    pub extra: WideText,
}

pub trait BidRow: Copy + Serialize + for<'a> Deserialize<'a> + Send + 'static {
    type Extra: Copy + Display + Send + 'static;
    fn of(bid: &Bid) -> Self;
    fn auction(&self) -> i64;
    fn bidder(&self) -> i64;
    fn price(&self) -> i64;
    fn at(&self) -> i64;
    fn extra(&self) -> Self::Extra;
}

macro_rules! bid_row {
    ($row:ty, $extra:ty, $of:expr) => {
        impl BidRow for $row {
            type Extra = $extra;
            fn of(bid: &Bid) -> Self {
                $of(bid)
            }
            fn auction(&self) -> i64 {
                self.auction
            }
            fn bidder(&self) -> i64 {
                self.bidder
            }
            fn price(&self) -> i64 {
                self.price
            }
            fn at(&self) -> i64 {
                self.at
            }
            fn extra(&self) -> Self::Extra {
                self.extra
            }
        }
    };
}
bid_row!(Bid, Text, |b: &Bid| *b);
bid_row!(ShortBid, WideText, |b: &Bid| ShortBid {
    auction: b.auction,
    bidder: b.bidder,
    price: b.price,
    at: b.at,
    extra: WideText { address: b.extra.view().as_ptr() as u64, size: b.extra.view().len() as u64 },
});

#[derive(Default)]
pub struct Input {
    pub events: usize,
    pub persons: Vec<Person>,
    pub auctions: Vec<Auction>,
    pub bids: Vec<Bid>,
}

struct Fields<'a> {
    parts: std::str::Split<'static, char>,
    line: &'a str,
}

impl Fields<'_> {
    fn next(&mut self) -> &'static str {
        self.parts.next().unwrap_or_else(|| panic!("no line of an event: {}", self.line))
    }
    fn text(&mut self) -> Text {
        Text::of(self.next())
    }
    fn number(&mut self) -> i64 {
        self.next().parse().unwrap_or_else(|_| panic!("no number where one should be: {}", self.line))
    }
}

/// The lines of each kind together, as the rows are: each kind is as good as a topic of its own.
fn lines_by_kind(text: &str) -> Vec<&'static str> {
    let mut kinds: [String; 3] = Default::default();
    for line in text.lines() {
        let kind = match line.as_bytes().first() {
            Some(b'P') => 0,
            Some(b'A') => 1,
            _ => 2,
        };
        kinds[kind].push_str(line);
        kinds[kind].push('\n');
    }
    kinds.into_iter().map(|lines| &*Box::leak(lines.into_boxed_str())).collect()
}

pub fn load(path: &str) -> Input {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let mut input = Input::default();
    let kinds = lines_by_kind(&text);
    drop(text);
    for line in kinds.into_iter().flat_map(str::lines) {
        let mut f = Fields { parts: line.split('|'), line };
        // Braces evaluate in the order written.
        match f.next() {
            "P" => input.persons.push(Person {
                id: f.number(),
                name: f.text(),
                email: f.text(),
                credit_card: f.text(),
                city: f.text(),
                state: f.text(),
                at: f.number(),
                extra: f.text(),
            }),
            "A" => input.auctions.push(Auction {
                id: f.number(),
                item: f.text(),
                description: f.text(),
                initial_bid: f.number(),
                reserve: f.number(),
                at: f.number(),
                expires: f.number(),
                seller: f.number(),
                category: f.number(),
                extra: f.text(),
            }),
            "B" => input.bids.push(Bid {
                auction: f.number(),
                bidder: f.number(),
                price: f.number(),
                channel: f.text(),
                url: f.text(),
                at: f.number(),
                extra: f.text(),
            }),
            _ => panic!("no line of an event: {line}"),
        }
        input.events += 1;
    }
    input
}
