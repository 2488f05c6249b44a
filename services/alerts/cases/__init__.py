"""What stands of alerts, and of what people and channels did about them: one pure fold."""
