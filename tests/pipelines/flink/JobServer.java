import org.apache.beam.runners.flink.FlinkJobServerDriver;

/**
 * Beam's job server, which sends nothing with a job but an empty archive.
 *
 * <p>Otherwise it sends all archives of its class path, 150 megabytes, with every job. Here each
 * process of the cluster has them in its own.
 */
public class JobServer {
  public static void main(String[] arguments) throws Exception {
    System.setProperty("java.class.path", arguments[0]);
    FlinkJobServerDriver.main(java.util.Arrays.copyOfRange(arguments, 1, arguments.length));
  }
}
