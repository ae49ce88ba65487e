// The WebSocket of the JVM in the middle of a message that the server does not take: which close code does it learn?
//
//     java Closing.java URL BYTES TRIES
//
// prints a line for each try: the code, or what came instead of one.

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

class Closing {
    /** How long one try may take, in seconds. */
    static final long PATIENCE = 8;

    /** Keeps the first thing that says how the connection has ended. */
    static class Listener implements WebSocket.Listener {
        final CompletableFuture<String> learnt = new CompletableFuture<>();

        @Override
        public CompletionStage<?> onBinary(WebSocket socket, ByteBuffer data, boolean last) {
            learnt.complete("a message came back");
            return null;
        }

        @Override
        public CompletionStage<?> onClose(WebSocket socket, int code, String reason) {
            learnt.complete(Integer.toString(code));
            return null;
        }

        @Override
        public void onError(WebSocket socket, Throwable error) {
            learnt.complete("1006 (" + error + ")");
        }
    }

    public static void main(String[] arguments) throws Exception {
        URI url = URI.create(arguments[0]);
        byte[] message = new byte[Integer.parseInt(arguments[1])];
        Arrays.fill(message, (byte) 'a');
        int tries = Integer.parseInt(arguments[2]);
        for (int count = 0; count < tries; count += 1) {
            Listener listener = new Listener();
            WebSocket socket = HttpClient.newHttpClient().newWebSocketBuilder().buildAsync(url, listener).get(PATIENCE, TimeUnit.SECONDS);
            // A send that fails is no end yet: the listener hears of that, and of the Close before it.
            socket.sendBinary(ByteBuffer.wrap(message), true);
            try {
                System.out.println(listener.learnt.get(PATIENCE, TimeUnit.SECONDS));
            } catch (TimeoutException late) {
                System.out.println("nothing in " + PATIENCE + " s");
            }
            socket.abort();
        }
        // The threads of the clients would keep the process.
        System.exit(0);
    }
}
