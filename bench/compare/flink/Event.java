package compare;

/** The row that the source hands out; an event of any kind. It never leaves its chain, so it is never serialised. */
public final class Event {
  public byte kind;
  public long at;
  /** Of a person or an auction its own, of a bid its auction. */
  public long id;
  public long seller, category, expires;
  public long bidder, price;
  public byte[] channel, url, extra;
  public byte[] name, city, state;

  void toPerson(Events in, int i) {
    kind = Events.PERSON;
    id = in.personId.get(i);
    at = in.personAt.get(i);
    name = in.personName.get(i);
    city = in.personCity.get(i);
    state = in.personState.get(i);
  }
  void toAuction(Events in, int i) {
    kind = Events.AUCTION;
    id = in.auctionId.get(i);
    at = in.auctionAt.get(i);
    seller = in.auctionSeller.get(i);
    category = in.auctionCategory.get(i);
    expires = in.auctionExpires.get(i);
  }
  void toBid(Events in, int i) {
    kind = Events.BID;
    id = in.bidAuction.get(i);
    bidder = in.bidBidder.get(i);
    price = in.bidPrice.get(i);
    at = in.bidAt.get(i);
    channel = in.bidChannel.get(i);
    url = in.bidUrl.get(i);
    extra = in.bidExtra.get(i);
  }
  boolean isBid() {
    return kind == Events.BID;
  }
}
