# ruff: noqa: E501
"""Small applications that keep usage in a table and drain it by the clock, in the ways schedulers are written."""

from __future__ import annotations

from trees import Tree

RAILS: Tree = {
    "Gemfile": 'gem "stripe", "~> 13"\n',
    "app/controllers/runs_controller.rb": 'class RunsController < ApplicationController\n  def create\n    answer = client.chat(parameters: {})\n    UsageEvent.create!(customer_id: current_account.customer, quantity: answer.dig("usage", "total_tokens"))\n    render json: answer\n  end\nend\n',
    "app/jobs/report_usage_job.rb": 'class ReportUsageJob < ApplicationJob\n  def perform\n    UsageEvent.where(reported_at: nil).find_each do |row|\n      Stripe::Billing::MeterEvent.create(event_name: "calls", identifier: row.id.to_s, payload: { value: row.quantity.to_s, stripe_customer_id: row.customer_id })\n      row.update!(reported_at: Time.current)\n    end\n  end\nend\n',
    "app/models/usage_event.rb": "class UsageEvent < ApplicationRecord\nend\n",
}
LARAVEL: Tree = {
    "composer.json": '{"require": {"laravel/framework": "^11", "stripe/stripe-php": "^16.0"}}',
    "app/Http/Controllers/RunController.php": "<?php\nnamespace App\\Http\\Controllers;\nclass RunController extends Controller\n{\n    public function store(Request $request)\n    {\n        $answer = $this->openai->chat()->create(['model' => 'm']);\n        UsageEvent::create(['customer_id' => $request->user()->customer, 'quantity' => $answer->usage->totalTokens]);\n        return $answer;\n    }\n}\n",
}
COMMAND = """<?php
namespace App\\Console\\Commands;
class ReportUsage extends Command
{
    protected $signature = 'usage:report {--force}';
    public function handle()
    {
        foreach (UsageEvent::whereNull('reported_at')->get() as $row) {
            $this->stripe->billing->meterEvents->create(['event_name' => 'calls', 'identifier' => (string) $row->id, 'payload' => ['value' => $row->quantity, 'stripe_customer_id' => $row->customer_id]]);
            $row->update(['reported_at' => now()]);
        }
    }
}
"""
GO_FLUSH = """func flush(ctx context.Context) error {
	rows, err := db.QueryContext(ctx, `SELECT id, customer_id, quantity FROM usage_records WHERE reported_at IS NULL`)
	if err != nil {
		return err
	}
	for rows.Next() {
		var id, customer string
		var n int
		rows.Scan(&id, &customer, &n)
		_, err := meterevent.New(&stripe.BillingMeterEventParams{Identifier: stripe.String(id), Payload: map[string]string{"stripe_customer_id": customer, "value": strconv.Itoa(n)}})
		if err != nil {
			return err
		}
		db.ExecContext(ctx, `UPDATE usage_records SET reported_at = now() WHERE id = $1`, id)
	}
	return nil
}
"""
GO: Tree = {
    "go.mod": "module shop\nrequire github.com/stripe/stripe-go/v82 v82.0.0\n",
    "internal/billing/report.go": """package billing

type Reporter struct { db *sql.DB }

func (r *Reporter) Report(ctx context.Context) error {
	rows, err := r.db.QueryContext(ctx, "SELECT id, customer_id, quantity FROM usage_events WHERE reported_at IS NULL")
	if err != nil {
		return err
	}
	for rows.Next() {
		rows.Scan(&id, &customer, &quantity)
		_, err := meterevent.New(&stripe.BillingMeterEventParams{Identifier: stripe.String(id), Payload: map[string]string{"value": quantity, "stripe_customer_id": customer}})
		if err != nil {
			return err
		}
		if _, err := r.db.ExecContext(ctx, "UPDATE usage_events SET reported_at = now() WHERE id = $1", id); err != nil {
			return err
		}
	}
	return nil
}
""",
    "internal/api/run.go": """package api

func (s *Server) Run(c *gin.Context) {
	account := c.MustGet("account").(*Account)
	answer, err := s.ai.CreateChatCompletion(c, req)
	if err != nil {
		c.JSON(500, err)
		return
	}
	_, err = s.db.Exec("INSERT INTO usage_events (customer_id, quantity) VALUES ($1, $2)", account.Customer, answer.Usage.TotalTokens)
	if err != nil {
		c.JSON(500, err)
		return
	}
	c.JSON(200, answer)
}

func (s *Server) Routes(r *gin.Engine) {
	r.POST("/run", s.Run)
}
""",
}
SPRING: Tree = {
    "pom.xml": "<artifactId>stripe-java</artifactId><version>28.0.0</version>",
    "src/main/java/shop/RunController.java": 'package shop;\n@RestController\nclass RunController {\n  @PostMapping("/run")\n  public Answer run(@AuthenticationPrincipal Account account) {\n    Answer done = openai.chatCompletions().create(request);\n    usageEventRepository.save(new UsageEvent(account.getCustomer(), done.getTokens()));\n    return done;\n  }\n}\n',
    "src/main/java/shop/UsageReporter.java": """package shop;
@Component
class UsageReporter {
  @Scheduled(WHEN)
  public void report() throws StripeException {
    for (UsageEvent row : usageEventRepository.findByReportedAtIsNull()) {
      MeterEvent.create(MeterEventCreateParams.builder().setEventName("calls").setIdentifier(row.getId()).putPayload("value", row.getQuantity()).putPayload("stripe_customer_id", row.getCustomer()).build());
      row.setReportedAt(Instant.now());
      usageEventRepository.save(row);
    }
  }
}
""",
}

# name: the base, what is written over it, and how a slow and a quick schedule is spelled there
OTHER_CLOCKS: dict[str, tuple[Tree, Tree, str, str]] = {
    "rb whenever runner": (
        RAILS,
        {
            "config/schedule.rb": 'every WHEN do\n  runner "ReportUsageJob.perform_now"\nend\n',
        },
        "1.day, at: '2:00 am'",
        "5.minutes",
    ),
    "rb sidekiq-cron yaml": (
        RAILS,
        {
            "config/schedule.yml": 'report_usage:\n  cron: "WHEN"\n  class: "ReportUsageJob"\n  queue: default\n',
        },
        "0 2 * * *",
        "*/5 * * * *",
    ),
    "rb solid recurring": (
        RAILS,
        {
            "config/recurring.yml": "production:\n  report_usage:\n    class: ReportUsageJob\n    schedule: WHEN\n",
        },
        "every day at 2am",
        "every 5 minutes",
    ),
    "rb good_job cron": (
        RAILS,
        {
            "config/application.rb": 'Rails.application.configure do\n  config.good_job.cron = {\n    report_usage: { cron: "WHEN", class: "ReportUsageJob" }\n  }\nend\n',
        },
        "0 2 * * *",
        "*/5 * * * *",
    ),
    "rb sidekiq-cron hash": (
        RAILS,
        {
            "config/initializers/sidekiq.rb": "Sidekiq::Cron::Job.create(name: 'usage', cron: 'WHEN', class: 'ReportUsageJob')\n",
        },
        "0 2 * * *",
        "*/5 * * * *",
    ),
    "rb clockwork": (
        RAILS,
        {
            "clock.rb": "module Clockwork\n  every(WHEN, 'usage') { ReportUsageJob.perform_later }\nend\n",
        },
        "1.day",
        "5.minutes",
    ),
    "rufus every": (
        RAILS,
        {
            "config/initializers/scheduler.rb": 'scheduler = Rufus::Scheduler.singleton\nscheduler.every "WHEN" do\n  ReportUsageJob.perform_later\nend\n',
        },
        "1d",
        "5m",
    ),
    "rb rake + heroku/crontab": (
        {k: v for k, v in RAILS.items() if k not in ["app/jobs/report_usage_job.rb"]},
        {
            "lib/tasks/usage.rake": 'namespace :usage do\n  task report: :environment do\n    UsageEvent.where(reported_at: nil).find_each do |row|\n      Stripe::Billing::MeterEvent.create(event_name: "calls", identifier: row.id.to_s, payload: { value: row.quantity.to_s, stripe_customer_id: row.customer_id })\n      row.update!(reported_at: Time.current)\n    end\n  end\nend\n',
            "config/crontab": "WHEN cd /app && bundle exec rake usage:report\n",
        },
        "0 2 * * *",
        "*/5 * * * *",
    ),
    "php kernel command signature": (
        LARAVEL,
        {
            "app/Console/Commands/ReportUsage.php": COMMAND,
            "app/Console/Kernel.php": "<?php\nclass Kernel extends ConsoleKernel\n{\n    protected function schedule(Schedule $schedule)\n    {\n        $schedule->command('usage:report')->WHEN();\n    }\n}\n",
        },
        "daily",
        "everyFiveMinutes",
    ),
    "php routes/console facade": (
        LARAVEL,
        {
            "app/Console/Commands/ReportUsage.php": COMMAND,
            "routes/console.php": "<?php\nSchedule::command('usage:report --force')->WHEN()->withoutOverlapping();\n",
        },
        "dailyAt",
        "everyMinute",
    ),
    "php schedule job": (
        LARAVEL,
        {
            "app/Jobs/ReportUsage.php": """<?php
namespace App\\Jobs;
class ReportUsage implements ShouldQueue
{
    public function handle()
    {
        foreach (UsageEvent::whereNull('reported_at')->get() as $row) {
            $this->stripe->billing->meterEvents->create(['event_name' => 'calls', 'identifier' => (string) $row->id, 'payload' => ['value' => $row->quantity, 'stripe_customer_id' => $row->customer_id]]);
            $row->update(['reported_at' => now()]);
        }
    }
}
""",
            "routes/console.php": "<?php\nSchedule::job(new ReportUsage)->WHEN();\n",
        },
        "daily",
        "everyFiveMinutes",
    ),
    "php command class": (
        LARAVEL,
        {
            "app/Console/Commands/ReportUsage.php": COMMAND,
            "routes/console.php": "<?php\nSchedule::command(ReportUsage::class)->WHEN();\n",
        },
        "daily",
        "everyTenMinutes",
    ),
    "php cron()": (
        LARAVEL,
        {
            "app/Console/Commands/ReportUsage.php": COMMAND,
            "routes/console.php": "<?php\nSchedule::command('usage:report')->cron('WHEN');\n",
        },
        "0 2 * * *",
        "*/5 * * * *",
    ),
    "php bootstrap withSchedule": (
        LARAVEL,
        {
            "app/Console/Commands/ReportUsage.php": COMMAND,
            "bootstrap/app.php": "<?php\nreturn Application::configure()->withSchedule(function (Schedule $schedule) {\n    $schedule->command('usage:report')->WHEN();\n})->create();\n",
        },
        "daily",
        "everyFiveMinutes",
    ),
    "go ticker": (
        GO,
        {
            "cmd/server/main.go": 'package main\n\nfunc reportLoop(ctx context.Context, r *billing.Reporter) {\n\tticker := time.NewTicker(WHEN)\n\tdefer ticker.Stop()\n\tfor {\n\t\tselect {\n\t\tcase <-ticker.C:\n\t\t\tif err := r.Report(ctx); err != nil {\n\t\t\t\tlog.Printf("usage: %v", err)\n\t\t\t}\n\t\tcase <-ctx.Done():\n\t\t\treturn\n\t\t}\n\t}\n}\n\nfunc main() {\n\tgo reportLoop(ctx, reporter)\n\thttp.ListenAndServe(":8080", router)\n}\n',
        },
        "24 * time.Hour",
        "5 * time.Minute",
    ),
    "go robfig cron": (
        GO,
        {
            "cmd/server/main.go": 'package main\n\nfunc main() {\n\tc := cron.New()\n\tc.AddFunc("WHEN", func() {\n\t\tif err := reporter.Report(context.Background()); err != nil {\n\t\t\tlog.Println(err)\n\t\t}\n\t})\n\tc.Start()\n\thttp.ListenAndServe(":8080", router)\n}\n',
        },
        "@daily",
        "@every 5m",
    ),
    "go gocron": (
        GO,
        {
            "cmd/server/main.go": "package main\n\nfunc main() {\n\ts := gocron.NewScheduler(time.UTC)\n\ts.Every(1).WHEN().Do(func() {\n\t\treporter.Report(ctx)\n\t})\n\ts.StartAsync()\n}\n",
        },
        "Day",
        "Minute",
    ),
    "go cmd by k8s cronjob": (
        GO,
        {
            "cmd/report-usage/main.go": "package main\n\nfunc main() {\n\tif err := billing.NewReporter(db).Report(ctx); err != nil {\n\t\tlog.Fatal(err)\n\t}\n}\n",
            "k8s/cron.yaml": 'kind: CronJob\nspec:\n  schedule: "WHEN"\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          containers:\n            - command: ["/app/report-usage"]\n',
        },
        "0 2 * * *",
        "*/5 * * * *",
    ),
    "java scheduled cron": (SPRING, {}, 'cron = "0 0 2 * * *"', 'cron = "0 */5 * * * *"'),
    "java scheduled fixedRate": (SPRING, {}, "fixedRate = 86400000", "fixedRate = 300000"),
    "java fixedDelayString": (SPRING, {}, 'fixedDelayString = "PT24H"', 'fixedDelayString = "PT5M"'),
    "java fixedRate timeunit": (
        SPRING,
        {},
        "fixedRate = 24, timeUnit = TimeUnit.HOURS",
        "fixedRate = 5, timeUnit = TimeUnit.MINUTES",
    ),
}
