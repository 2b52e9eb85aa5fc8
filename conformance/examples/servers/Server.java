import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.regex.Pattern;

/**
 * A meta statistics server with a pool of threads.
 *
 * <p>usage: java Server.java [PORT [META_PORT]]
 */
public class Server {
    private static final String GREETING =
            "Welcome! A number counts; count, sum, mean, stddev and exit answer.";
    private static final Pattern NUMBER =
            Pattern.compile("[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?");
    /** How long a client that has its last line may take to close. */
    private static final int LINGER_MILLISECONDS = 10_000;

    /** Statistics of values that are not kept, by Welford's method. */
    private static class Statistics {
        private long count;
        private double sum;
        private double mean;
        private double squares;

        synchronized void add(double value) {
            count++;
            sum += value;
            double distance = value - mean;
            mean += distance / count;
            squares += distance * (value - mean);
        }

        String shownMean() {
            return count > 0 ? Double.toString(mean) : "-";
        }

        String shownStddev() {
            return count > 1 ? Double.toString(Math.sqrt(squares / (count - 1))) : "-";
        }

        synchronized String summary() {
            return "count = " + count + ", mean = " + shownMean() + ", stddev = " + shownStddev();
        }
    }

    /** Serves one connection. */
    private interface Service {
        void serve(InputStream in, OutputStream out) throws IOException;
    }

    private static final Statistics means = new Statistics();
    private static final ExecutorService threads = Executors.newCachedThreadPool();

    private static void send(OutputStream out, String line) throws IOException {
        out.write((line + "\n").getBytes(StandardCharsets.ISO_8859_1));
    }

    /** Reads up to the next newline; null if the stream ends before it. */
    private static String readLine(InputStream in) throws IOException {
        ByteArrayOutputStream line = new ByteArrayOutputStream();
        for (int next = in.read(); next != '\n'; next = in.read()) {
            if (next < 0) {
                return null;
            }
            line.write(next);
        }
        return line.toString(StandardCharsets.ISO_8859_1);
    }

    /** A client of the primary port. */
    private static void session(InputStream in, OutputStream out) throws IOException {
        Statistics statistics = new Statistics();
        send(out, GREETING);
        String line;
        for (long number = 1; (line = readLine(in)) != null; number++) {
            String word = line.replaceAll("^ +| *\r?$", "");
            switch (word) {
                case "count" -> send(out, Long.toString(statistics.count));
                case "sum" -> send(out, Double.toString(statistics.sum));
                case "mean" -> send(out, statistics.shownMean());
                case "stddev" -> send(out, statistics.shownStddev());
                case "exit" -> {
                    if (statistics.count > 0) {
                        means.add(statistics.mean);
                    }
                    send(out, statistics.summary());
                    return;
                }
                default -> {
                    if (NUMBER.matcher(word).matches()
                            && Double.isFinite(Double.parseDouble(word))) {
                        statistics.add(Double.parseDouble(word));
                    } else {
                        send(out, "line " + number + ": neither a number nor a command");
                    }
                }
            }
        }
    }

    /** Runs a service in a thread of its own, and closes when the client has closed, too. */
    private static void start(Service service, Socket client) {
        threads.execute(() -> {
            try (client) {
                InputStream in = new BufferedInputStream(client.getInputStream());
                service.serve(in, client.getOutputStream());
                // To close with unread input would reset the connection.
                client.shutdownOutput();
                client.setSoTimeout(LINGER_MILLISECONDS);
                while (in.read() >= 0) {}
            } catch (IOException gone) {
                // That a client has gone concerns nobody else.
            }
        });
    }

    private static void listen(int port, Service service) throws IOException {
        ServerSocket listener = new ServerSocket(port, 128, InetAddress.getByName("127.0.0.1"));
        threads.execute(() -> {
            while (true) {
                try {
                    start(service, listener.accept());
                } catch (IOException aborted) {
                    System.err.println("accept: " + aborted.getMessage());
                }
            }
        });
    }

    public static void main(String[] arguments) throws IOException {
        int port = arguments.length > 0 ? Integer.parseInt(arguments[0]) : 6000;
        int metaPort = arguments.length > 1 ? Integer.parseInt(arguments[1]) : port + 1;
        listen(port, Server::session);
        listen(metaPort, (in, out) -> send(out, means.summary()));
    }
}
