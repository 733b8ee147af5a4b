import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What readers say about a book. Version v1 shows no stars, v2 black ones, v3 red ones; v2 and v3 ask the ratings service.
 * Configured by PORT, SERVICE_VERSION, RATINGS_URL and UPSTREAM_TIMEOUT (seconds).
 */
public final class Reviews {
    private record Review(String reviewer, String text) {}

    private static final List<Review> REVIEWS = List.of(
            new Review("Reviewer1", "Two pairs of twins, one town, and nobody is who he seems. I laughed from the first page."),
            new Review("Reviewer2", "Great fun, though its plot is thinner than the thread that holds it together."));
    private static final Pattern BOOK = Pattern.compile("/reviews/(\\d+)");
    private static final Pattern RATING = Pattern.compile("\"(Reviewer\\d+)\"\\s*:\\s*(\\d)");

    private final String ratingsUrl = System.getenv().getOrDefault("RATINGS_URL", "http://ratings:9080");
    private final String version = System.getenv().getOrDefault("SERVICE_VERSION", "v3");
    private final int timeoutMillis = 1000 * Integer.parseInt(System.getenv().getOrDefault("UPSTREAM_TIMEOUT", "10"));

    public static void main(String[] arguments) throws IOException {
        int port = Integer.parseInt(System.getenv().getOrDefault("PORT", "9080"));
        Reviews reviews = new Reviews();
        HttpServer server = HttpServer.create(new InetSocketAddress(port), 128);
        server.setExecutor(Executors.newCachedThreadPool());
        server.createContext("/health", exchange -> answer(exchange, 200, "{\"status\": \"reviews is healthy\"}"));
        server.createContext("/reviews/", reviews::handle);
        server.start();
        System.err.println("reviews " + reviews.version + " listens on " + port);
    }

    private void handle(HttpExchange exchange) throws IOException {
        Matcher book = BOOK.matcher(exchange.getRequestURI().getPath());
        if (!book.matches()) {
            answer(exchange, 400, "{\"error\": \"please give the number of a book\"}");
            return;
        }
        String id = book.group(1);
        answer(exchange, 200, render(id, version.equals("v1") ? Map.of() : fetchRatings(id)));
    }

    /** Stars by reviewer; none when the ratings service cannot tell, since a review is worth reading without them. */
    private Map<String, Integer> fetchRatings(String id) {
        Map<String, Integer> stars = new HashMap<>();
        try {
            HttpURLConnection connection =
                    (HttpURLConnection) URI.create(ratingsUrl + "/ratings/" + id).toURL().openConnection();
            connection.setConnectTimeout(timeoutMillis);
            connection.setReadTimeout(timeoutMillis);
            try (InputStream body = connection.getInputStream()) {
                Matcher rating = RATING.matcher(new String(body.readAllBytes(), StandardCharsets.UTF_8));
                while (rating.find()) {
                    stars.put(rating.group(1), Integer.valueOf(rating.group(2)));
                }
            }
        } catch (IOException failure) {
            System.err.println("reviews: " + failure);
        }
        return stars;
    }

    private String render(String id, Map<String, Integer> stars) {
        String color = version.equals("v2") ? "black" : "red";
        StringBuilder json = new StringBuilder("{\"id\": " + id + ", \"version\": \"" + version + "\", \"reviews\": [");
        String separator = "";
        for (Review review : REVIEWS) {
            json.append(separator);
            json.append("{\"reviewer\": \"" + review.reviewer() + "\", \"text\": \"" + review.text() + "\"");
            if (stars.containsKey(review.reviewer())) {
                json.append(", \"rating\": {\"stars\": " + stars.get(review.reviewer()) + ", \"color\": \"" + color + "\"}");
            }
            json.append("}");
            separator = ", ";
        }
        return json.append("]}").toString();
    }

    private static void answer(HttpExchange exchange, int status, String json) throws IOException {
        byte[] body = json.getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        exchange.sendResponseHeaders(status, body.length);
        try (exchange) {
            exchange.getResponseBody().write(body);
        }
    }
}
