//! The rows of the queries, and as text, fields joined by `|`: what checksums are made of.

use std::fmt::{Display, Formatter};

use serde::{Deserialize, Serialize};

macro_rules! row {
    ($name:ident $(<$text:ident>)?, $first:ident: $first_type:ty $(, $field:ident: $type:ty)*) => {
        #[derive(Clone, Serialize, Deserialize)]
        pub struct $name $(<$text>)? {
            pub $first: $first_type,
            $(pub $field: $type,)*
        }
        impl $(<$text: Display>)? Display for $name $(<$text>)? {
            fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}", self.$first)?;
                $(write!(f, "|{}", self.$field)?;)*
                Ok(())
            }
        }
    };
}

row!(PassedBid<X>, auction: i64, bidder: i64, price: i64, at: i64, extra: X);
row!(EuroBid<X>, auction: i64, bidder: i64, euro_thousandths: i64, at: i64, extra: X);
row!(AuctionPrice, auction: i64, price: i64);
row!(LocalAuction<X>, name: X, city: X, state: X, auction: i64);
row!(WindowCount, window_end: i64, auction: i64, bids: i64);
row!(HotAuction, window_end: i64, auction: i64, bids: i64);
row!(HighBid<X>, auction: i64, price: i64, bidder: i64, at: i64, extra: X);
row!(NewSeller<X>, id: i64, name: X, window_start: i64);

/// The order-free checksum of rows: their number, and the sum of their FNV-1a 64.
#[derive(Default)]
pub struct Tally {
    pub rows: u64,
    pub sum: u64,
    text: String,
}

impl Tally {
    pub fn check(&mut self, row: &impl Display) {
        use std::fmt::Write;
        self.text.clear();
        write!(self.text, "{row}").expect("a string takes all");
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in self.text.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
        self.rows += 1;
        self.sum = self.sum.wrapping_add(hash);
    }
}
