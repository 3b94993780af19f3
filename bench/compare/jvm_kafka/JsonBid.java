package compare;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.nio.charset.StandardCharsets;

/** A bid, read with Jackson's streaming parser and written by hand: texts are letters, so nothing has to be escaped. */
final class JsonBid {
  private static final JsonFactory FACTORY = new JsonFactory();

  long auction, bidder, price, dateTime;
  String extra;

  void read(byte[] json) throws IOException {
    try (JsonParser parser = FACTORY.createParser(json)) {
      if (parser.nextToken() != JsonToken.START_OBJECT) throw new IOException("no JSON object");
      for (String name; (name = parser.nextFieldName()) != null; ) {
        parser.nextToken();
        switch (name) {
          case "auction" -> auction = parser.getLongValue();
          case "bidder" -> bidder = parser.getLongValue();
          case "price" -> price = parser.getLongValue();
          case "dateTime" -> dateTime = parser.getLongValue();
          case "extra" -> extra = parser.getText();
          default -> parser.skipChildren();
        }
      }
    }
  }

  byte[] write(StringBuilder out) {
    out.setLength(0);
    out.append("{\"auction\":").append(auction).append(",\"bidder\":").append(bidder).append(",\"price\":").append(price)
        .append(",\"dateTime\":").append(dateTime).append(",\"extra\":\"").append(extra).append("\"}");
    return out.toString().getBytes(StandardCharsets.ISO_8859_1);
  }
  byte[] writePrice(StringBuilder out) {
    out.setLength(0);
    out.append("{\"auction\":").append(auction).append(",\"price\":").append(price).append('}');
    return out.toString().getBytes(StandardCharsets.ISO_8859_1);
  }
}
