import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.Arrays;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

import static java.nio.charset.StandardCharsets.UTF_8;

/** java.net.http.HttpClient. Its default is HTTP/2, which it offers as an upgrade where there is no TLS. */
class JavaHttpClient {
    static final String URL = System.getenv("SENSGATE_URL");
    static final String KEY = System.getenv("SENSGATE_KEY");
    static final HttpClient CLIENT = client();
    static String token = "";

    static HttpClient client() {
        HttpClient.Builder builder = HttpClient.newBuilder();
        if (System.getenv("CLIENT_HTTP").equals("1.1")) {
            builder.version(HttpClient.Version.HTTP_1_1);
        }
        return builder.build();
    }

    static HttpResponse<String> send(String method, String path, String key, BodyPublisher body, String type)
            throws IOException, InterruptedException {
        HttpRequest.Builder request =
                HttpRequest.newBuilder(URI.create(URL + path)).timeout(Duration.ofSeconds(60)).header("api_key", key);
        if (!token.isEmpty()) {
            request.header("access_token", token);
        }
        if (type != null) {
            request.header("Content-Type", type);
        }
        return CLIENT.send(request.method(method, body).build(), BodyHandlers.ofString());
    }

    static String member(String json, String name) {
        Matcher found = Pattern.compile("\"" + name + "\":\"([^\"]*)\"").matcher(json);
        return found.find() ? found.group(1) : json;
    }

    static void step(String step, String method, String path, BodyPublisher body, String type) throws Exception {
        HttpResponse<String> answer = send(method, path, KEY, body, type);
        System.out.println(step + " " + answer.statusCode() + " " + answer.body());
    }

    static void calls() throws Exception {
        BodyPublisher none = BodyPublishers.noBody();
        HttpResponse<String> login = send("POST", "/v1/login/user", KEY,
                BodyPublishers.ofString("login=CLIENTREST&password=clientrest"), "application/x-www-form-urlencoded");
        System.out.println("login " + login.statusCode());
        token = member(login.body(), "access_token");
        byte[] upload = new byte[2 << 20];
        Arrays.fill(upload, (byte) 'x');
        BodyPublisher pieces = BodyPublishers.ofInputStream(() -> new java.io.ByteArrayInputStream(upload));
        // URI.create refuses what has to be encoded.
        step("query", "GET", "/v1/articles?filter=" + URLEncoder.encode("{\"ref\":\"A1|B2\"}", UTF_8), none, null);
        step("accent", "GET", "/v1/articles?filter=" + URLEncoder.encode("{\"label\":\"\u00c9\"}", UTF_8), none, null);
        step("post", "POST", "/v1/devis",
                BodyPublishers.ofString("{\"ref\":\"A1\",\"label\":\"\u00c9cran\"}"), "application/json");
        step("upload", "POST", "/v1/documents", pieces, null);
        step("head", "HEAD", "/v1/articles", none, null);
        step("delete", "DELETE", "/v1/panier/1", none, null);
        step("delete_chunked", "DELETE", "/v1/panier/2", none, null);
        step("again", "GET", "/v1/articles", none, null);
    }

    static void refuse(String step, String key, int length) throws InterruptedException {
        try {
            HttpResponse<String> answer =
                    send("POST", "/v1/documents", key, BodyPublishers.ofByteArray(new byte[length]), null);
            System.out.println(step + " " + answer.statusCode() + " " + member(answer.body(), "code"));
        } catch (IOException error) {
            System.out.println(step + " " + error);
        }
    }

    static void refusals() throws InterruptedException {
        for (int time = 0; time < 5; time++) {
            refuse("refused", "nobody's", 8_000_000);
        }
        refuse("too_large", KEY, 12_000_000);
    }

    public static void main(String[] arguments) throws Exception {
        System.setOut(new java.io.PrintStream(System.out, true, "UTF-8"));
        if (arguments[0].equals("calls")) {
            calls();
        } else {
            refusals();
        }
    }
}
