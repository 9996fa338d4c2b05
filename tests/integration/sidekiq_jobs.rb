# What test_debian_programs.py runs: jobs of Sidekiq, and without its server the scenario that asks for them.
# KEYP_PORT=… sidekiq -r ./sidekiq_jobs.rb        KEYP_PORT=… ruby sidekiq_jobs.rb

require "sidekiq"
require "sidekiq/api"

connection = {url: "redis://127.0.0.1:#{ENV.fetch("KEYP_PORT")}/0"}
Sidekiq.configure_client { |config| config.redis = connection }
Sidekiq.configure_server do |config|
  config.redis = connection
  config.options[:poll_interval_average] = 0.2
  config.options[:dead_max_jobs] = 10
end

class Note
  include Sidekiq::Worker

  def perform(what)
    Sidekiq.redis { |r| r.rpush("notes", what) }
  end
end

class FailsOnce
  include Sidekiq::Worker
  sidekiq_options retry: 2
  sidekiq_retry_in { 1 }

  def perform(what)
    raise "not yet" if Sidekiq.redis { |r| r.incr("tries") } == 1
    Sidekiq.redis { |r| r.rpush("notes", what) }
  end
end

class Fails
  include Sidekiq::Worker
  sidekiq_options retry: 0

  def perform
    raise "never mind"
  end
end

def expect(what, wanted)
  deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 25
  until (found = yield) == wanted
    abort "#{what}: #{found.inspect}, not #{wanted.inspect}" if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
    sleep 0.05
  end
end

if $PROGRAM_NAME == __FILE__
  late = Note.perform_in(1000, "late")
  Note.perform_in(1, "soon")
  Note.perform_async("now")
  Sidekiq::Client.push_bulk("class" => Note, "args" => [["one"], ["two"]])
  FailsOnce.perform_async("again")
  Fails.perform_async
  wanted = %w[again now one soon two]
  expect("notes", wanted) { Sidekiq.redis { |r| r.lrange("notes", 0, -1) }.sort }
  expect("dead", ["never mind"]) { Sidekiq::DeadSet.new.map { |job| job["error_message"] } }
  expect("retries", 0) { Sidekiq::RetrySet.new.size }
  expect("scheduled", [late]) { Sidekiq::ScheduledSet.new.map(&:jid) }
  expect("failed", 2) { Sidekiq::Stats.new.failed }
  expect("processes", 1) { Sidekiq::ProcessSet.new.size }
  Sidekiq::ScheduledSet.new.find_job(late).add_to_queue
  expect("notes", (wanted + ["late"]).sort) { Sidekiq.redis { |r| r.lrange("notes", 0, -1) }.sort }
  puts "done"
end
